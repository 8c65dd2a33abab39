//! The order of steps, and what holds after a test that did not pass.

use std::sync::Mutex;

use super::*;

/// Notes what happens to it, and fails as it is told.
struct Noted {
    name: &'static str,
    fails_up: bool,
    fails_down: bool,
}

#[async_trait]
impl Step<Mutex<Vec<String>>> for Noted {
    async fn set_up(&mut self, at: &Mutex<Vec<String>>) -> Result<(), Problem> {
        at.lock().unwrap().push(format!("+{}", self.name));
        if self.fails_up {
            return Err((Status::Skip, self.name.to_owned()));
        }
        Ok(())
    }

    async fn clean_up(&mut self, at: &Mutex<Vec<String>>) -> Result<(), Problem> {
        at.lock().unwrap().push(format!("-{}", self.name));
        if self.fails_down {
            return Err(error(format!("clean {} up", self.name)));
        }
        Ok(())
    }
}

fn step(name: &'static str, fails_up: bool, fails_down: bool) -> Box<dyn Step<Mutex<Vec<String>>>> {
    Box::new(Noted {
        name,
        fails_up,
        fails_down,
    })
}

#[tokio::test]
async fn steps_are_cleaned_up_in_reverse_whatever_fails() {
    let at = Mutex::default();
    let steps = vec![
        step("a", false, true),
        step("b", false, true),
        step("c", false, false),
    ];
    let (around, result) = Around::set_up(steps, &at).await;
    assert_eq!(result, Ok(()));
    let problems = around.clean_up(&at).await;
    assert_eq!(at.into_inner().unwrap(), ["+a", "+b", "+c", "-c", "-b", "-a"]);
    assert_eq!(problems, [error("clean b up"), error("clean a up")]);
}

#[tokio::test]
async fn only_what_was_set_up_is_cleaned_up() {
    let at = Mutex::default();
    let steps = vec![
        step("a", false, false),
        step("b", true, false),
        step("c", false, false),
    ];
    let (around, result) = Around::set_up(steps, &at).await;
    assert_eq!(result, Err((Status::Skip, "b".to_owned())));
    assert_eq!(around.clean_up(&at).await, []);
    assert_eq!(at.into_inner().unwrap(), ["+a", "+b", "-a"]);
}

#[test]
fn on_error_parameters_hold_once_a_test_has_not_passed() {
    let params: Params = [
        ("keep", "no"),
        ("keep_on_error", "yes"),
        ("other", "1"),
        ("new_on_error", "2"),
    ]
    .into_iter()
    .collect();
    assert_eq!(afterwards(&params, Status::Pass), params);
    for status in [Status::Fail, Status::Error, Status::Warn, Status::Cancel] {
        let after = afterwards(&params, status);
        assert_eq!(
            (after.get("keep"), after.get("other"), after.get("new")),
            (Some("yes"), Some("1"), Some("2"))
        );
    }
}

#[test]
fn steps_come_in_only_where_they_are_asked_for() {
    let none = Params::new();
    assert_eq!(
        (before(&none).unwrap().len(), with_machines(&none).unwrap().len()),
        (1, 0)
    );
    let all: Params = [
        ("verify_host_dmesg", "yes"),
        ("post_command", "true"),
        ("take_regular_screendumps", "yes"),
        ("verify_guest_dmesg", "yes"),
    ]
    .into_iter()
    .collect();
    assert_eq!(
        (before(&all).unwrap().len(), with_machines(&all).unwrap().len()),
        (3, 2)
    );
    assert!(with_machines(&[("verify_guest_dmesg", "maybe")].into_iter().collect()).is_err());
}
