//! The environment variables, all of them, and what each means.
//!
//! In comes the function's environment; out come [`Settings`], or every mistake in it at once. What must stay true: an
//! unknown `ONBOARDING_*` variable is refused, so that a misspelt one is not a default that nobody notices; the list
//! here is the one in README.md (a test compares them).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::policy::{Scope, Topic};
use crate::request::is_name;

/// A variable of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds without it; empty if it must be given.
    pub default: &'static str,
    /// What it means.
    pub about: &'static str,
}

const fn variable(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    Variable { name, default, about }
}

const LAMBDA_ENV: Variable = variable(
    "LAMBDA_ENV",
    "int",
    "The environment's name: marks things, names the policy, metrics and logs.",
);
const TABLE_NAME: Variable = variable("ONBOARDING_TABLE_NAME", "", "The DynamoDB table of devices.");
const TABLE_PK: Variable = variable("ONBOARDING_TABLE_PK", "deviceGroup", "Its partition key, a string.");
const TABLE_SK: Variable = variable("ONBOARDING_TABLE_SK", "serialNumber", "Its sort key, a string.");
const DEVICE_GROUP: Variable = variable(
    "ONBOARDING_DEVICE_GROUP",
    "rigado_quickstart",
    "The value of the partition key; the default is the quickstart's.",
);
const MAIN_TOPIC: Variable =
    variable("MAIN_TOPIC", "data/#", "The topic filter under which devices publish.");
const TOPIC_SCOPE: Variable = variable(
    "ONBOARDING_TOPIC_SCOPE",
    "root",
    "`root`: anywhere under it; `thing`: only on `<root>/<thing name>` and below.",
);
const POLICY_NAME: Variable =
    variable("ONBOARDING_POLICY_NAME", "iotlake-device-<LAMBDA_ENV>", "The policy that all devices share.");
const KMS_KEY: Variable = variable(
    "ONBOARDING_KMS_KEY",
    "",
    "Id, ARN or alias of the KMS key for private keys; not needed with `return-once`.",
);
const RETENTION: Variable = variable(
    "CREDENTIAL_RETENTION",
    "store",
    "`store`: private keys are kept, encrypted, for later GETs; `return-once`: never.",
);
const MQTT_ENDPOINT: Variable = variable(
    "ONBOARDING_MQTT_ENDPOINT",
    "the account's",
    "A host name for `mqttEndpoint`, such as a custom domain, that replaces the one from IoT Core.",
);
const LEASE_MS: Variable = variable(
    "ONBOARDING_LEASE_MS",
    "5000",
    "How long other requests for a device wait for one that shows no progress, in milliseconds.",
);

/// All variables, in the order of README.md.
pub const VARIABLES: [Variable; 12] = [
    LAMBDA_ENV,
    TABLE_NAME,
    TABLE_PK,
    TABLE_SK,
    DEVICE_GROUP,
    MAIN_TOPIC,
    TOPIC_SCOPE,
    POLICY_NAME,
    KMS_KEY,
    RETENTION,
    MQTT_ENDPOINT,
    LEASE_MS,
];

/// Where devices are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The table.
    pub name: String,
    /// Its partition key.
    pub partition_key: String,
    /// Its sort key, which holds the serial number.
    pub sort_key: String,
    /// The value of the partition key.
    pub group: String,
}

/// What becomes of private keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// They are kept, encrypted.
    Store,
    /// They are in the answer to the POST and nowhere else.
    ReturnOnce,
}

/// What the environment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The environment's name.
    pub environment: String,
    /// Where devices are recorded.
    pub table: Table,
    /// Under which topic devices publish.
    pub topic: Topic,
    /// Where under it.
    pub scope: Scope,
    /// The shared policy.
    pub policy: String,
    /// The KMS key, if private keys are kept.
    pub kms_key: Option<String>,
    /// Whether private keys are kept.
    pub retention: Retention,
    /// What to tell instead of the account's endpoint.
    pub endpoint: Option<String>,
    /// How long others wait for a request without progress.
    pub lease: Duration,
}

/// All that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Mistakes {}

/// The environment while it is being read.
struct Reader {
    values: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

impl Reader {
    fn optional(&self, variable: Variable) -> Option<String> {
        self.values.get(variable.name).filter(|value| !value.is_empty()).cloned()
    }

    fn text(&self, variable: Variable) -> String {
        self.optional(variable).unwrap_or_else(|| variable.default.to_owned())
    }

    fn needed(&mut self, variable: Variable) -> String {
        self.optional(variable).unwrap_or_else(|| {
            self.mistakes.push(format!("{} is not set: {}", variable.name, variable.about));
            String::new()
        })
    }

    /// The value as something else, or a mistake and nothing.
    fn parsed<T>(&mut self, variable: Variable, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(variable);
        let parsed = parse(&text);
        parsed.map_err(|what| self.mistakes.push(format!("{}=\"{text}\": {what}", variable.name))).ok()
    }
}

impl Settings {
    /// Reads an environment.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn read(environment: impl IntoIterator<Item = (String, String)>) -> Result<Settings, Mistakes> {
        let mut reader = Reader { values: environment.into_iter().collect(), mistakes: Vec::new() };
        reader.refuse_unknown();
        let environment = reader.parsed(LAMBDA_ENV, |text| name(text, 32));
        let table = Table {
            name: reader.needed(TABLE_NAME),
            partition_key: reader.text(TABLE_PK),
            sort_key: reader.text(TABLE_SK),
            group: reader.text(DEVICE_GROUP),
        };
        let topic = reader.parsed(MAIN_TOPIC, Topic::parse);
        let scope = reader.parsed(TOPIC_SCOPE, |text| match text {
            "root" => Ok(Scope::Root),
            "thing" => Ok(Scope::Thing),
            _ => Err("must be root or thing".to_owned()),
        });
        let retention = reader.parsed(RETENTION, |text| match text {
            "store" => Ok(Retention::Store),
            "return-once" => Ok(Retention::ReturnOnce),
            _ => Err("must be store or return-once".to_owned()),
        });
        let kms_key = match retention {
            Some(Retention::Store) => Some(reader.needed(KMS_KEY)),
            _ => reader.optional(KMS_KEY),
        };
        let default_policy = format!("iotlake-device-{}", environment.as_deref().unwrap_or_default());
        let policy = match reader.optional(POLICY_NAME) {
            Some(_) => reader.parsed(POLICY_NAME, |text| name(text, 128)),
            None => Some(default_policy),
        };
        let endpoint = match reader.optional(MQTT_ENDPOINT) {
            Some(_) => reader.parsed(MQTT_ENDPOINT, host).map(Some),
            None => Some(None),
        };
        let lease = reader.parsed(LEASE_MS, |text| match text.parse() {
            Ok(milliseconds @ 1..=60_000) => Ok(Duration::from_millis(milliseconds)),
            _ => Err("must be a number from 1 to 60000".to_owned()),
        });
        match (environment, topic, scope, policy, retention, endpoint, lease) {
            (
                Some(environment),
                Some(topic),
                Some(scope),
                Some(policy),
                Some(retention),
                Some(endpoint),
                Some(lease),
            ) if reader.mistakes.is_empty() => {
                Ok(Settings { environment, table, topic, scope, policy, kms_key, retention, endpoint, lease })
            }
            _ => Err(Mistakes(reader.mistakes)),
        }
    }

    /// The mark on things that this service made.
    pub fn owner(&self) -> &str {
        &self.environment
    }
}

impl Reader {
    fn refuse_unknown(&mut self) {
        let known = |name: &str| VARIABLES.iter().any(|variable| variable.name == name);
        let unknown = self.values.keys().filter(|name| name.starts_with("ONBOARDING_") && !known(name));
        let mistakes: Vec<_> =
            unknown.map(|name| format!("{name} is not a variable of this service")).collect();
        self.mistakes.extend(mistakes);
    }
}

fn name(text: &str, longest: usize) -> Result<String, String> {
    if is_name(text) && text.len() <= longest {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {longest} characters from a-z, A-Z, 0-9, ':', '_' and '-'"))
}

fn host(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if text.chars().all(legal) { Ok(text.to_owned()) } else { Err("must be a bare host name".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Mistakes> {
        Settings::read(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    const LEAST: [(&str, &str); 2] = [("ONBOARDING_TABLE_NAME", "t"), ("ONBOARDING_KMS_KEY", "alias/k")];

    #[test]
    fn the_least_gives_the_quickstarts_defaults() {
        let settings = read(&LEAST).unwrap();
        assert_eq!(settings.environment, "int");
        assert_eq!(settings.table.partition_key, "deviceGroup");
        assert_eq!(settings.table.sort_key, "serialNumber");
        assert_eq!(settings.table.group, "rigado_quickstart");
        assert_eq!(settings.topic, Topic::parse("data/#").unwrap());
        assert_eq!(settings.policy, "iotlake-device-int");
        assert_eq!(settings.retention, Retention::Store);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_name_and_value() {
        let mistakes = read(&[
            ("ONBOARDING_TABEL_NAME", "t"),
            ("MAIN_TOPIC", "data/*"),
            ("CREDENTIAL_RETENTION", "keep"),
            ("ONBOARDING_LEASE_MS", "0"),
            ("ONBOARDING_MQTT_ENDPOINT", "https://x"),
        ]);
        let text = mistakes.unwrap_err().to_string();
        for part in [
            "ONBOARDING_TABEL_NAME is not a variable",
            "ONBOARDING_TABLE_NAME is not set",
            "MAIN_TOPIC=\"data/*\"",
            "CREDENTIAL_RETENTION=\"keep\": must be store or return-once",
            "ONBOARDING_LEASE_MS=\"0\"",
            "ONBOARDING_MQTT_ENDPOINT=\"https://x\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn without_storing_no_key_is_needed() {
        let pairs = [("ONBOARDING_TABLE_NAME", "t"), ("CREDENTIAL_RETENTION", "return-once")];
        assert_eq!(read(&pairs).unwrap().kms_key, None);
        assert!(read(&pairs[..1]).unwrap_err().to_string().contains("ONBOARDING_KMS_KEY"));
    }
}
