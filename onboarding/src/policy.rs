//! What a device may do: the shared policy, its name and its document.
//!
//! In come the topic filter of `MAIN_TOPIC` and the scope; out comes a policy with variables, one for all devices:
//! connect as oneself, if attached, and publish below the root topic.
//!
//! What must stay true: a device never speaks as another; the document stays under IoT's 2,048 characters; a filter
//! that would mean something else inside a policy (`*`, `?`, `${`) is refused.

use serde_json::{Value, json};

/// The longest topic, and the most slashes in one, that IoT Core takes.
const TOPIC_BYTES: usize = 256;
const TOPIC_SLASHES: usize = 7;
const THING: &str = "${iot:Connection.Thing.ThingName}";

/// Where a device may publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere under the root topic: a gateway speaks for its sensors.
    Root,
    /// Only on `<root>/<thing name>` and below.
    Thing,
}

/// A topic filter, as `MAIN_TOPIC` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic(String);

impl Topic {
    /// Checks a filter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(filter: &str) -> Result<Topic, String> {
        let wrong = |what: &str| Err(format!("{what}, such as data/#"));
        if filter.is_empty() || filter.len() > TOPIC_BYTES {
            return wrong("must be a topic filter of 1 to 256 bytes");
        }
        if filter.matches('/').count() > TOPIC_SLASHES {
            return wrong("must be a topic filter with at most 7 slashes");
        }
        if filter.contains(['*', '?', '\0']) || filter.contains("${") || filter.starts_with('$') {
            return wrong("must be a topic filter without `*`, `?`, `${` or a leading `$`");
        }
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            let last = levels.peek().is_none();
            let wild = level.contains(['#', '+']);
            if wild && !(level == "+" || (level == "#" && last)) {
                return wrong("must be a topic filter in which `+` is a whole level and `#` the last one");
            }
        }
        Ok(Topic(filter.to_owned()))
    }

    /// The topic under which everything lies, without a wildcard at its end and with IoT's for those inside.
    fn root(&self) -> String {
        let root = self.0.strip_suffix('#').unwrap_or(&self.0);
        root.strip_suffix('/').unwrap_or(root).replace('+', "*")
    }

    /// What may be published on, after `topic/`.
    fn resources(&self, scope: Scope) -> Vec<String> {
        let root = self.root();
        let below = |rest: &str| if root.is_empty() { rest.to_owned() } else { format!("{root}/{rest}") };
        match scope {
            // `data` without a wildcard is taken as a root as well.
            Scope::Root if !self.0.ends_with('#') => vec![root.clone(), below("*")],
            Scope::Root => vec![below("*")],
            Scope::Thing => vec![below(THING), below(&format!("{THING}/*"))],
        }
    }
}

/// The document of the shared policy, for ARNs that begin with `prefix` (`arn:aws:iot:eu-west-1:123456789012`).
pub fn document(prefix: &str, topic: &Topic, scope: Scope) -> Value {
    let topics: Vec<_> =
        topic.resources(scope).iter().map(|topic| format!("{prefix}:topic/{topic}")).collect();
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "iot:Connect",
                "Resource": format!("{prefix}:client/{THING}"),
                "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}},
            },
            {"Effect": "Allow", "Action": "iot:Publish", "Resource": topics},
        ],
    })
}

/// The beginning that all of IoT's ARNs of one account and region share.
pub fn arn_prefix(arn: &str) -> &str {
    let end = arn.match_indices(':').nth(4).map_or(arn.len(), |(end, _)| end);
    &arn[..end]
}

/// Whether two documents say the same, whatever their spacing.
pub fn same(left: &str, right: &Value) -> bool {
    serde_json::from_str::<Value>(left).is_ok_and(|left| left == *right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "arn:aws:iot:eu-west-1:123456789012";

    fn topics(filter: &str, scope: Scope) -> Vec<String> {
        Topic::parse(filter).unwrap().resources(scope)
    }

    #[test]
    fn filters_become_resources() {
        assert_eq!(topics("data/#", Scope::Root), ["data/*"]);
        assert_eq!(topics("plant/+/data/#", Scope::Root), ["plant/*/data/*"]);
        assert_eq!(topics("#", Scope::Root), ["*"]);
        assert_eq!(topics("data", Scope::Root), ["data", "data/*"]);
        assert_eq!(topics("data/#", Scope::Thing), [format!("data/{THING}"), format!("data/{THING}/*")]);
        assert_eq!(topics("#", Scope::Thing), [THING.to_owned(), format!("{THING}/*")]);
    }

    #[test]
    fn filters_that_would_widen_a_policy_are_refused() {
        for filter in [
            "",
            "*",
            "data/*",
            "da?a",
            "${iot:x}/#",
            "$aws/#",
            "data/#/x",
            "da#",
            "a+/b",
            "a/b/c/d/e/f/g/h/i",
        ] {
            assert!(Topic::parse(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn a_device_connects_as_itself_and_only_when_attached() {
        let document = document(PREFIX, &Topic::parse("data/#").unwrap(), Scope::Root);
        let connect = &document["Statement"][0];
        assert_eq!(connect["Resource"], format!("{PREFIX}:client/{THING}"));
        assert_eq!(connect["Condition"]["Bool"]["iot:Connection.Thing.IsAttached"][0], "true");
        assert_eq!(document["Statement"][1]["Resource"][0], format!("{PREFIX}:topic/data/*"));
    }

    #[test]
    fn the_longest_filter_fits() {
        let topic = Topic::parse(&"t".repeat(TOPIC_BYTES)).unwrap();
        let prefix = "arn:aws-us-gov:iot:us-gov-west-1:123456789012";
        assert!(document(prefix, &topic, Scope::Thing).to_string().len() <= 2048);
    }

    #[test]
    fn the_prefix_is_of_account_and_region() {
        assert_eq!(arn_prefix("arn:aws:iot:eu-west-1:123456789012:thing/a:b"), PREFIX);
    }
}
