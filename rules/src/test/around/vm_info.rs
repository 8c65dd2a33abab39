//! What the monitors of machines say now and then while a test runs: registers, by default.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use vtbuild_providers::desk::Desk;
use vtbuild_providers::machine::Machine;

use super::repeated::Repeated;
use super::{Machines, Problem, Step, seconds};

/// Seconds between two looks.
const DELAY: f64 = 5.0;
/// What is asked where nobody says.
const REGISTERS: &str = "registers";
/// How long a monitor may take. A machine that is busy with something else is asked again later.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps what `info …` says of each machine, in `vm_info_NAME_PID/NUMBER_WORDS`.
#[derive(Default)]
pub(super) struct VmInfo {
    asking: Option<Repeated>,
}

/// How many answers of each machine's process were kept.
type Counts = Mutex<BTreeMap<u32, u32>>;

#[async_trait]
impl Step<Machines> for VmInfo {
    async fn set_up(&mut self, at: &Machines) -> Result<(), Problem> {
        let delay = seconds(&at.params, "vm_info_delay", DELAY)?;
        let words = at.params.text("vm_info_cmds").unwrap_or(REGISTERS);
        let questions: Arc<[String]> = questions(words).collect();
        let (desk, logs, counts) = (at.desk.clone(), at.logs.clone(), Arc::new(Counts::default()));
        self.asking = Some(Repeated::every(delay, move || {
            let (desk, logs) = (desk.clone(), logs.clone());
            let (questions, counts) = (questions.clone(), counts.clone());
            async move {
                for vm in desk.vms() {
                    ask(&desk, &vm, &questions, &logs, &counts).await;
                }
            }
        }));
        Ok(())
    }

    async fn clean_up(&mut self, _at: &Machines) -> Result<(), Problem> {
        if let Some(asking) = self.asking.take() {
            asking.stop().await;
        }
        Ok(())
    }
}

/// The questions of a list that commas divide.
fn questions(words: &str) -> impl Iterator<Item = String> {
    let words = words.split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// Asks one machine. One that is off has nothing to say.
async fn ask(desk: &Desk, vm: &str, questions: &[String], logs: &Utf8Path, counts: &Counts) {
    let Some(machine) = desk.machine(vm).filter(Machine::is_alive) else {
        return;
    };
    let folder = logs.join(format!("vm_info_{vm}_{}", machine.pid()));
    let number = {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(machine.pid()).or_default();
        *count += 1;
        *count
    };
    for question in questions {
        let Ok(answer) = machine.qmp().hmp(&format!("info {question}"), PATIENCE).await else {
            return;
        };
        let path = folder.join(file_name(number, question));
        // What cannot be written is missed by a person alone.
        let _ = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(path, answer));
    }
}

fn file_name(number: u32, question: &str) -> String {
    let plain = question.replace(
        |letter: char| !letter.is_ascii_alphanumeric() && letter != '-',
        "_",
    );
    format!("{number:04}_{plain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_has_a_file_that_stays_in_its_folder() {
        let asked: Vec<_> = questions("registers, cpus,,block -v").collect();
        assert_eq!(asked, ["registers", "cpus", "block -v"]);
        assert_eq!(file_name(7, "block -v"), "0007_block_-v");
        assert_eq!(file_name(12, "../../x"), "0012_______x");
    }
}
