//! One line of QMP, told apart.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Something that QEMU reports on its own account. Events that no schema knows are kept like the others.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// For example `MIGRATION`.
    #[serde(rename = "event")]
    pub name: String,
    /// The event's own fields; null when it has none.
    #[serde(default)]
    pub data: Value,
    /// QEMU's clock: `seconds` and `microseconds`.
    #[serde(default)]
    pub timestamp: Value,
}

impl Event {
    /// The event as the JSON object that QEMU sent.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("timestamp".into(), self.timestamp.clone());
        object.insert("event".into(), self.name.clone().into());
        if !self.data.is_null() {
            object.insert("data".into(), self.data.clone());
        }
        Value::Object(object)
    }
}

/// QEMU's refusal of a command.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// `GenericError`, `CommandNotFound`, `DeviceNotFound`, ...
    pub class: String,
    /// A sentence for people.
    pub desc: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.desc, self.class)
    }
}

/// What a line from QEMU is.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Greeting(Value),
    Event(Event),
    Reply(u64, Result<Value, Failure>),
    /// Kept in the transcript only: a reply without our `id`, or no JSON at all.
    Other,
}

impl Message {
    pub(super) fn parse(line: &str) -> Message {
        let Ok(Value::Object(mut object)) = serde_json::from_str(line) else {
            return Message::Other;
        };
        if let Some(greeting) = object.remove("QMP") {
            return Message::Greeting(greeting);
        }
        if object.contains_key("event") {
            return Event::deserialize(Value::Object(object)).map_or(Message::Other, Message::Event);
        }
        let Some(id) = object.get("id").and_then(Value::as_u64) else {
            return Message::Other;
        };
        match (
            object.remove("return"),
            object.remove("error").map(Failure::deserialize),
        ) {
            (Some(value), _) => Message::Reply(id, Ok(value)),
            (None, Some(Ok(failure))) => Message::Reply(id, Err(failure)),
            _ => Message::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replies_find_their_sender() {
        assert_eq!(
            Message::parse(r#"{"return": {"a": 1}, "id": 7}"#),
            Message::Reply(7, Ok(json!({"a": 1})))
        );
        let failure = Failure {
            class: "CommandNotFound".into(),
            desc: "no such command".into(),
        };
        let line = r#"{"id": 8, "error": {"class": "CommandNotFound", "desc": "no such command"}}"#;
        assert_eq!(Message::parse(line), Message::Reply(8, Err(failure)));
    }

    #[test]
    fn an_event_of_tomorrow_is_data() {
        let line = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "TIME_TRAVEL", "data": {"years": -3}}"#;
        let Message::Event(event) = Message::parse(line) else {
            panic!("not an event")
        };
        assert_eq!(
            (event.name.as_str(), &event.data["years"]),
            ("TIME_TRAVEL", &json!(-3))
        );
        assert_eq!(event.to_json(), serde_json::from_str::<Value>(line).unwrap());
    }

    #[test]
    fn what_nobody_asked_for_is_kept_apart() {
        assert_eq!(Message::parse("not json"), Message::Other);
        assert_eq!(
            Message::parse(r#"{"error": {"class": "GenericError", "desc": "bad JSON"}}"#),
            Message::Other
        );
        assert!(matches!(
            Message::parse(r#"{"QMP": {"version": {}}}"#),
            Message::Greeting(_)
        ));
    }
}
