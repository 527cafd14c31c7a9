//! The registry as a DynamoDB table, whose keys and attributes are the quickstart's and a few more.
//!
//! The partition key holds a constant, the device group, the sort key the serial number: so a list is a query. A
//! record of the quickstart is one without a `stamp`.
//!
//! What must stay true: a conditional write whose first answer was lost fails its own condition when the SDK repeats
//! it; the stamp that is found there then tells that it was ours.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::{Answer, Registry, Write};
use crate::aws::fault;
use crate::error::{Fault, FaultKind};
use crate::iot::Page;
use crate::record::{Identity, Record, Stamp, State, StoredKey};
use crate::secret::Secret;
use crate::settings::Table;

type Item = HashMap<String, AttributeValue>;

/// A table.
#[derive(Debug, Clone)]
pub struct DynamoRegistry {
    client: Client,
    table: Table,
}

impl DynamoRegistry {
    /// The table that the settings name.
    pub fn new(config: &aws_config::SdkConfig, table: Table) -> DynamoRegistry {
        DynamoRegistry { client: Client::new(config), table }
    }

    fn key(&self, serial: &str) -> Item {
        HashMap::from([
            (self.table.partition_key.clone(), AttributeValue::S(self.table.group.clone())),
            (self.table.sort_key.clone(), AttributeValue::S(serial.to_owned())),
        ])
    }

    async fn put(&self, mut record: Record, condition: Condition<'_>) -> Answer<Write> {
        const OPERATION: &str = "dynamodb:PutItem";
        let stamp = Stamp::fresh();
        record.stamp = Some(stamp.clone());
        let mut item = self.key(&record.serial);
        item.extend(attributes(&record));
        let mut call = self.client.put_item().table_name(&self.table.name).set_item(Some(item));
        let (expression, names, values) = condition.parts(&self.table.sort_key);
        call = call.condition_expression(expression).set_expression_attribute_names(Some(names));
        call = call.set_expression_attribute_values(values);
        call = call.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match call.send().await {
            Ok(_) => return Ok(Write::Done(Box::new(record))),
            Err(error) => error,
        };
        let Some(PutItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return Err(fault(OPERATION, &error));
        };
        let held = match refused.item() {
            Some(item) if !item.is_empty() => Some(self.read(item)?),
            // Nothing was there, or the server does not tell.
            _ => self.get(&record.serial).await?,
        };
        if held.as_ref().is_some_and(|held| held.stamp.as_ref() == Some(&stamp)) {
            return Ok(Write::Done(Box::new(record)));
        }
        Ok(Write::Lost(held.map(Box::new)))
    }

    fn read(&self, item: &Item) -> Answer<Record> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let number = |name: &str| {
            item.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let wrong = |what: String| Fault::new(FaultKind::Unreadable, "dynamodb:read", what);
        let serial =
            text(&self.table.sort_key).ok_or_else(|| wrong("a record without its key".to_owned()))?;
        let stamp = text("stamp").map(Stamp);
        let state = match (&stamp, text("state")) {
            (None, _) => State::Active,
            (Some(_), Some(state)) => {
                State::parse(&state).ok_or_else(|| wrong(format!("{serial}: unknown state {state}")))?
            }
            (Some(_), None) => return Err(wrong(format!("{serial}: no state"))),
        };
        let key = match (text("sealedKey"), text("privateKey"), text("keyHolder").as_deref()) {
            (Some(sealed), _, _) => StoredKey::Sealed(sealed),
            (None, Some(plain), _) if !plain.is_empty() => StoredKey::Plain(Secret::new(plain)),
            (None, _, Some("device")) => StoredKey::Device,
            _ => StoredKey::Returned,
        };
        let identity = text("certificateId").filter(|id| !id.is_empty()).map(|id| Identity {
            id,
            arn: text("certificateArn").unwrap_or_default(),
            pem: text("certificatePem").unwrap_or_default(),
            public_key: text("publicKey").unwrap_or_default(),
            key,
        });
        let thing_name = text("deviceName").filter(|name| !name.is_empty()).unwrap_or_else(|| serial.clone());
        Ok(Record {
            thing_name,
            state,
            stamp,
            attempt: text("attempt").unwrap_or_default(),
            lease_until: number("leaseUntil"),
            updated: number("updatedAt"),
            thing_id: text("thingId").unwrap_or_default(),
            identity,
            old_policy: text("oldPolicy"),
            serial,
        })
    }

    async fn query(&self, table: &str, from: Option<String>) -> Answer<Page<Record>> {
        let call = self.client.query().table_name(table).consistent_read(true);
        let call = call.key_condition_expression("#p = :p");
        let call = call.expression_attribute_names("#p", &self.table.partition_key);
        let call = call.expression_attribute_values(":p", AttributeValue::S(self.table.group.clone()));
        let call = call.set_exclusive_start_key(from.map(|serial| self.key(&serial)));
        let answer = call.send().await.map_err(|error| fault("dynamodb:Query", &error))?;
        let items = answer.items().iter().map(|item| self.read(item)).collect::<Answer<Vec<_>>>()?;
        let last = answer.last_evaluated_key().and_then(|key| key.get(&self.table.sort_key));
        Ok(Page { items, next: last.and_then(|value| value.as_s().ok()).cloned() })
    }
}

/// What must be there for a write to happen.
#[derive(Debug, Clone, Copy)]
enum Condition<'a> {
    Nothing,
    /// A record of the quickstart.
    Unstamped,
    Stamped(&'a Stamp),
}

impl<'a> Condition<'a> {
    fn of(stamp: Option<&'a Stamp>) -> Condition<'a> {
        stamp.map_or(Condition::Unstamped, Condition::Stamped)
    }

    /// The expression, its names and its values.
    fn parts(self, sort_key: &str) -> (&'static str, HashMap<String, String>, Option<Item>) {
        let key = ("#k".to_owned(), sort_key.to_owned());
        let stamp = ("#s".to_owned(), "stamp".to_owned());
        match self {
            Condition::Nothing => ("attribute_not_exists(#k)", HashMap::from([key]), None),
            Condition::Unstamped => {
                ("attribute_exists(#k) AND attribute_not_exists(#s)", HashMap::from([key, stamp]), None)
            }
            Condition::Stamped(held) => {
                let value = HashMap::from([(":s".to_owned(), AttributeValue::S(held.0.clone()))]);
                ("#s = :s", HashMap::from([stamp]), Some(value))
            }
        }
    }
}

fn attributes(record: &Record) -> Item {
    let mut item = Item::new();
    let mut text = |name: &str, value: &str| {
        if !value.is_empty() {
            item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
        }
    };
    text("deviceName", &record.thing_name);
    text("state", record.state.as_str());
    text("stamp", record.stamp.as_ref().map_or("", |stamp| &stamp.0));
    text("attempt", &record.attempt);
    text("thingId", &record.thing_id);
    text("oldPolicy", record.old_policy.as_deref().unwrap_or_default());
    if let Some(identity) = &record.identity {
        text("certificateId", &identity.id);
        text("certificateArn", &identity.arn);
        text("certificatePem", &identity.pem);
        text("publicKey", &identity.public_key);
        match &identity.key {
            StoredKey::Sealed(sealed) => text("sealedKey", sealed),
            StoredKey::Device => text("keyHolder", "device"),
            StoredKey::Returned => text("keyHolder", "returned"),
            // Only a deletion writes a record that still has one, and is about to remove it.
            StoredKey::Plain(_) => {}
        }
    }
    item.insert("leaseUntil".to_owned(), AttributeValue::N(record.lease_until.to_string()));
    item.insert("updatedAt".to_owned(), AttributeValue::N(record.updated.to_string()));
    item
}

impl Registry for DynamoRegistry {
    async fn get(&self, serial: &str) -> Answer<Option<Record>> {
        let call = self.client.get_item().table_name(&self.table.name).set_key(Some(self.key(serial)));
        let answer = call.consistent_read(true).send().await;
        let answer = answer.map_err(|error| fault("dynamodb:GetItem", &error))?;
        answer.item().map(|item| self.read(item)).transpose()
    }

    async fn claim(&self, record: Record) -> Answer<Write> {
        self.put(record, Condition::Nothing).await
    }

    async fn swap(&self, record: Record) -> Answer<Write> {
        let held = record.stamp.clone();
        self.put(record, Condition::of(held.as_ref())).await
    }

    async fn remove(&self, serial: &str, stamp: Option<&Stamp>) -> Answer<bool> {
        let call = self.client.delete_item().table_name(&self.table.name).set_key(Some(self.key(serial)));
        let (expression, names, values) = Condition::of(stamp).parts(&self.table.sort_key);
        let call = call.condition_expression(expression).set_expression_attribute_names(Some(names));
        let error = match call.set_expression_attribute_values(values).send().await {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) {
            // A repeated call whose first answer was lost finds nothing.
            return Ok(self.get(serial).await?.is_none());
        }
        Err(fault("dynamodb:DeleteItem", &error))
    }

    async fn list(&self, from: Option<String>) -> Answer<Page<Record>> {
        self.query(&self.table.name, from).await
    }

    async fn quickstart(&self, table: &str, from: Option<String>) -> Answer<Page<Record>> {
        let mut page = self.query(table, from).await?;
        page.items.retain(Record::is_legacy);
        Ok(page)
    }

    async fn erase_key(&self, table: &str, serial: &str) -> Answer<()> {
        let call = self.client.update_item().table_name(table).set_key(Some(self.key(serial)));
        let call = call.update_expression("REMOVE privateKey").condition_expression("attribute_exists(#c)");
        let call = call.expression_attribute_names("#c", &self.table.sort_key);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(fault("dynamodb:UpdateItem", &error)),
        }
    }
}
