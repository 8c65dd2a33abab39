//! How a guest is logged in to and told things, from its machine's parameters.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::host::protocol::CallError;
use crate::params::Params;
use crate::session::{Credentials, Pattern, PatternError, ShellSetup};

/// What most shells of a superuser or a user end with.
const DEFAULT_PROMPT: &str = r"[\#\$]\s*$";

/// Which view of the variant's parameters a test hands over: names of objects, outermost first.
const VIEW: &str = "_view";

/// Parameters as they come over the socket, as a view of `variant`, which remembers what is asked of them. Without a view they
/// are of the test's own making.
pub(super) fn params(variant: &Params, map: &Map<String, Value>) -> Params {
    let given = texts(map);
    let Some(view) = map.get(VIEW).and_then(Value::as_array) else {
        return given;
    };
    let objects: Vec<String> = view.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    variant.handed_back(&objects, &given)
}

/// What is not text is written as text; lists and maps (`dep`) are no parameters of a machine.
fn texts(map: &Map<String, Value>) -> Params {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(if *flag { "yes" } else { "no" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    map.iter()
        .filter_map(|(key, value)| Some((key.as_str(), text(value)?)))
        .collect()
}

/// The shell that `shell_prompt`, `shell_linesep` and `status_test_command` describe.
pub(super) fn shell(params: &Params, prompt: Option<&str>) -> Result<ShellSetup, PatternError> {
    let prompt = prompt
        .or_else(|| params.text("shell_prompt"))
        .unwrap_or(DEFAULT_PROMPT);
    let mut setup = ShellSetup::posix(Pattern::python(prompt)?);
    if let Some(line_end) = params.text("shell_linesep") {
        setup.line_end = unescaped(line_end);
    }
    if let Some(command) = params.text("status_test_command") {
        setup.status_command = command.to_owned();
    }
    Ok(setup)
}

/// A line end as configurations write it: `\n`, `\r\n`.
pub(super) fn unescaped(text: &str) -> String {
    text.replace("\\r", "\r").replace("\\n", "\n")
}

/// Who logs in: the call's own words, else the parameters, else root without a password.
pub(super) fn who(params: &Params, username: Option<&str>, password: Option<&str>) -> (String, String) {
    let pick = |own: Option<&str>, key: &str, default: &str| {
        own.or_else(|| params.text(key)).unwrap_or(default).to_owned()
    };
    (pick(username, "username", "root"), pick(password, "password", ""))
}

/// The password as ssh's proof.
pub(super) fn credentials(password: &str) -> Credentials {
    Credentials::Password(password.to_owned())
}

/// A command for the guest, from the parameters.
pub(super) fn command(params: &Params, key: &str, default: &str) -> String {
    params.text(key).unwrap_or(default).to_owned()
}

/// A number of seconds.
pub(super) fn seconds(params: &Params, key: &str, default: u64) -> Duration {
    let seconds = params
        .text(key)
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|seconds| *seconds > 0.0);
    seconds.map_or(Duration::from_secs(default), |seconds| {
        Duration::from_secs_f64(seconds.min(1e6))
    })
}

/// A number that may have come as text, with an optional suffix of powers of 1024.
pub(super) fn amount(call: &str, key: &str, value: Option<&Value>) -> Result<Option<u64>, CallError> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::Number(number)) if number.is_f64() => format!("{:.0}", number.as_f64().unwrap_or(0.0)),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let params: Params = [(key, text)].into_iter().collect();
    params
        .size(key, 1)
        .map_err(|error| CallError::new("argument", format!("understand the call {call}: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_text() {
        let map = json!({"mem": 512, "kvm": true, "name": "x", "dep": ["a"], "_map": {}});
        let params = params(&Params::new(), map.as_object().expect("a map"));
        let entries: Vec<_> = params.iter().collect();
        assert_eq!(entries, [("mem", "512"), ("kvm", "yes"), ("name", "x")]);
    }

    #[test]
    fn a_shell_is_described_by_parameters_and_by_the_call() {
        let params: Params = [
            ("shell_prompt", "^>$"),
            ("shell_linesep", r"\r\n"),
            ("status_test_command", "echo %errorlevel%"),
        ]
        .into_iter()
        .collect();
        let setup = shell(&params, None).expect("a setup");
        assert_eq!(
            (setup.line_end.as_str(), setup.status_command.as_str()),
            ("\r\n", "echo %errorlevel%")
        );
        assert_eq!(setup.prompt.source(), "^>$");
        assert_eq!(shell(&params, Some("%$")).expect("a setup").prompt.source(), "%$");
        assert!(shell(&Params::new(), Some("(")).is_err());
    }

    #[test]
    fn amounts_come_in_many_forms() {
        for (value, want) in [
            (json!("32M"), Some(32 << 20)),
            (json!(100), Some(100)),
            (json!(1e3), Some(1000)),
            (json!(""), None),
            (Value::Null, None),
        ] {
            assert_eq!(
                amount("vm.migrate", "speed", Some(&value)).expect("a number"),
                want,
                "{value}"
            );
        }
        assert_eq!(
            amount("vm.migrate", "speed", Some(&json!("fast")))
                .expect_err("no number")
                .kind,
            "argument"
        );
    }
}
