//! What is typed at the monitor's prompt.

use serde_json::Value;

/// One command for a monitor.
#[derive(Debug, PartialEq)]
pub enum Typed {
    /// A command of QMP and its arguments.
    Qmp(String, Option<Value>),
    /// A line for the human monitor.
    Human(String),
}

/// Understands `NAME`, `NAME {ARGUMENTS}`, `{"execute": …}` and `hmp LINE`.
pub fn parse(line: &str) -> Result<Typed, String> {
    let line = line.trim();
    let json = |text: &str| -> Result<Value, String> {
        serde_json::from_str(text).map_err(|error| format!("failed to read {text} as JSON: {error}"))
    };
    if line.starts_with('{') {
        let request = json(line)?;
        let name = request["execute"]
            .as_str()
            .ok_or("the object names nothing to `execute`")?;
        return Ok(Typed::Qmp(name.to_owned(), request.get("arguments").cloned()));
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (name, rest.trim()) {
        ("hmp", "") => Err("hmp needs a command of the human monitor: `hmp info pci`".into()),
        ("hmp", rest) => Ok(Typed::Human(rest.to_owned())),
        (name, "") => Ok(Typed::Qmp(name.to_owned(), None)),
        (name, rest) => Ok(Typed::Qmp(name.to_owned(), Some(json(rest)?))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_may_be_typed_in_short_and_in_full() {
        let qmp = |name: &str, arguments| Ok(Typed::Qmp(name.to_owned(), arguments));
        assert_eq!(parse("query-status"), qmp("query-status", None));
        let id = json!({ "id": "nic1" });
        assert_eq!(
            parse(r#" device_del {"id": "nic1"} "#),
            qmp("device_del", Some(id.clone()))
        );
        let whole = r#"{"execute": "device_del", "arguments": {"id": "nic1"}}"#;
        assert_eq!(parse(whole), qmp("device_del", Some(id)));
        assert_eq!(parse("hmp info pci"), Ok(Typed::Human("info pci".into())));
    }

    #[test]
    fn what_cannot_be_understood_says_what_would_do() {
        assert!(parse("hmp").unwrap_err().contains("hmp info pci"));
        assert!(parse("stop now").unwrap_err().contains("as JSON"));
        assert!(parse("{}").unwrap_err().contains("execute"));
    }
}
