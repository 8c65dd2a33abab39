//! What of this host and its tools the key of a test holds.
//!
//! | field of the key | which tests have it | what |
//! |---|---|---|
//! | `host.Python` | all | the interpreter's version |
//! | `host.Python test host` | all | the content of our own packages |
//! | `host.runtime` | all | what was asked for by `--runtime` |
//! | `host.emulator`, `host.qemu-img`, `host.qemu-io` | all | the content of the programs |
//! | `host.kind of machines`, `host.virsh`, `host.libvirtd`, `host.virtqemud` | those of libvirt | the word, the content of the programs that there are |
//! | `host.QEMU` | those with machines | the emulator's version, in words |
//! | `host.accelerator` | those with machines | `kvm` or `tcg` |
//! | `host.machine type of VM` | those with machines | the versioned name that the parameter stands for today |
//! | `host.firmware NAME` | those whose machines load it, or may: a card that is plugged in brings its ROM | the content of a file from QEMU's folders, or of one that the command line names |
//! | `host.kernel` | those with machines, under KVM | the release of the host's kernel |
//! | `host.processor flags` | those with machines, under KVM | what the processor can do: it limits every model |
//! | `host.processor` | those with a machine whose model is `host` or `max`, under KVM | which processor it is |

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::spec::{Declared, Host, SourceFile};
use vtbuild_providers::accel::Accel;
use vtbuild_providers::cpu::Cpu;
use vtbuild_providers::machine::{HostCpu, MachineSpec};
use vtbuild_providers::params::Params;
use vtbuild_providers::process::Launcher;
use vtbuild_providers::qemu::{Answers, find_program};

use crate::asked;
use crate::python_env::Interpreter;

/// The emulator of tests that name none.
pub const EMULATOR: &str = "qemu-system-x86_64";

/// An emulator of this host.
#[derive(Clone, Debug)]
pub struct Emulator {
    /// The program.
    pub binary: Utf8PathBuf,
    /// What it says about itself; empty where it does not answer.
    pub answers: Answers,
}

/// The tools of this host, looked at once for all tests of a run.
#[derive(Debug, Default)]
pub struct Tools {
    /// By the names that parameters give them.
    pub emulators: BTreeMap<String, Emulator>,
    /// The interpreter of tests; none where there is none.
    pub python: Option<Interpreter>,
    /// The release of the kernel.
    pub kernel: String,
    /// The processor.
    pub cpu: Cpu,
    /// Other programs by their names, looked for once.
    programs: Mutex<BTreeMap<String, Option<Utf8PathBuf>>>,
    /// What tests have in common.
    hosts: Mutex<HashSet<Arc<Host>>>,
}

/// What the key of one test holds beside its tools.
pub(super) struct Facts<'a> {
    /// Its parameters. What is asked of them here is not recorded: what it comes to is in the key.
    pub(super) params: &'a Params,
    /// Its machines.
    pub(super) machines: &'a [MachineSpec],
    /// How its guests run.
    pub(super) accel: Option<Accel>,
    /// More facts.
    pub(super) more: Vec<(&'static str, String)>,
    /// More programs whose content counts, where they are there.
    pub(super) programs: &'a [&'a str],
}

impl Tools {
    /// Looks at the emulators that tests name and at this host. What programs answer is kept below `memory`.
    pub async fn find(launcher: &Launcher, emulators: &BTreeSet<String>, memory: &Utf8Path) -> Self {
        let mut found = BTreeMap::new();
        for name in emulators {
            let Some(binary) = find_program(name) else {
                continue;
            };
            // One that does not answer will say so when a machine starts.
            let asked = asked::once(&binary, memory, |_| true, Answers::ask(launcher, &binary)).await;
            let answers = asked.unwrap_or_default();
            found.insert(name.clone(), Emulator { binary, answers });
        }
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let python = Interpreter::find(launcher, memory).await.ok();
        Self {
            emulators: found,
            python,
            kernel: release.trim().to_owned(),
            cpu: Cpu::of_this_host(),
            ..Self::default()
        }
    }

    /// What the emulator that parameters call `name` said about itself; none where it did not answer.
    #[must_use]
    pub fn answers_of(&self, name: &str) -> Option<&Answers> {
        let answers = &self.emulators.get(name)?.answers;
        Some(answers).filter(|answers| !answers.version.is_empty())
    }

    /// The same of the emulator of a test with these parameters.
    pub(super) fn answers(&self, params: &Params) -> Option<&Answers> {
        self.answers_of(emulator_of(params))
    }

    /// The names of the other programs that were looked for so far.
    pub(super) fn looked_for(&self) -> BTreeSet<String> {
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.keys().cloned().collect()
    }

    /// What of the host one test depends on.
    pub(super) fn host(&self, test: &Facts<'_>) -> Arc<Host> {
        let python = self.python.as_ref().map(|python| python.identity.clone());
        let mut facts: Vec<(String, Option<String>)> = vec![("Python".into(), python)];
        let mut files = vec![
            self.program("qemu-img", test.params.text("qemu_img_binary")),
            self.program("qemu-io", None),
        ];
        let emulator = self.emulators.get(emulator_of(test.params));
        files.push(emulator.map(|emulator| SourceFile::new("emulator", &emulator.binary)));
        for (name, value) in &test.more {
            facts.push(((*name).to_owned(), Some(value.clone())));
        }
        files.extend(test.programs.iter().map(|name| self.program(name, None)));
        if !test.machines.is_empty() {
            self.of_machines(test, emulator, &mut facts, &mut files);
        }
        self.shared(facts, files)
    }

    /// What of the host the state of one machine depends on.
    pub(crate) fn of_state(&self, params: &Params, machine: &MachineSpec, accel: Accel) -> Arc<Host> {
        let test = Facts {
            params,
            machines: std::slice::from_ref(machine),
            accel: Some(accel),
            more: Vec::new(),
            programs: &[],
        };
        let emulator = self.emulators.get(emulator_of(params));
        let mut files = vec![
            self.program("qemu-img", params.text("qemu_img_binary")),
            emulator.map(|emulator| SourceFile::new("emulator", &emulator.binary)),
        ];
        let mut facts = Vec::new();
        self.of_machines(&test, emulator, &mut facts, &mut files);
        self.shared(facts, files)
    }

    /// What of the host an image depends on that is built here: the program that writes and checks its disk.
    #[must_use]
    pub fn of_image(&self) -> Arc<Host> {
        self.shared(Vec::new(), vec![self.program("qemu-img", None)])
    }

    /// Facts and files in order; the same ones are one.
    fn shared(&self, facts: Vec<(String, Option<String>)>, files: Vec<Option<SourceFile>>) -> Arc<Host> {
        let text = |(name, value): (String, Option<String>)| -> Declared {
            (Arc::from(name), value.as_deref().map(Arc::from))
        };
        let mut facts: Vec<Declared> = facts.into_iter().map(text).collect();
        let mut files: Vec<SourceFile> = files.into_iter().flatten().collect();
        facts.sort();
        files.sort();
        files.dedup();
        let host = Host {
            facts: facts.into(),
            files: files.into(),
        };
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(&host) {
            return known.clone();
        }
        let host = Arc::new(host);
        hosts.insert(host.clone());
        host
    }

    fn of_machines(
        &self,
        test: &Facts<'_>,
        emulator: Option<&Emulator>,
        facts: &mut Vec<(String, Option<String>)>,
        files: &mut Vec<Option<SourceFile>>,
    ) {
        let answers = emulator.map(|emulator| &emulator.answers);
        let version = answers.map(|answers| answers.version.clone());
        facts.push(("QEMU".into(), version));
        facts.push((
            "accelerator".into(),
            test.accel.map(|accel| accel.name().to_owned()),
        ));
        let mut seen = HostCpu::Hidden;
        for machine in test.machines {
            let kind = answers.map_or(machine.machine_type.as_str(), |answers| {
                answers.machine_type(&machine.machine_type)
            });
            facts.push((format!("machine type of {}", machine.name), Some(kind.to_owned())));
            for name in machine.firmware(kind) {
                let path = answers.and_then(|answers| answers.firmware(name));
                files.push(path.map(|path| SourceFile::new(format!("firmware {name}"), &path)));
            }
            let named = machine.named_files();
            files.extend(
                named
                    .iter()
                    .map(|path| Some(SourceFile::new(format!("firmware {path}"), path))),
            );
            seen = seen.max(machine.host_cpu(test.accel.unwrap_or(Accel::Tcg)));
        }
        if test.accel == Some(Accel::Kvm) {
            facts.push(("kernel".into(), Some(self.kernel.clone())));
        }
        if seen >= HostCpu::Flags {
            facts.push(("processor flags".into(), Some(self.cpu.flags.clone())));
        }
        if seen >= HostCpu::Whole {
            facts.push(("processor".into(), Some(self.cpu.model.clone())));
        }
    }

    fn program(&self, name: &str, given: Option<&str>) -> Option<SourceFile> {
        let found = self.found(given.unwrap_or(name));
        found.map(|path| SourceFile::new(name, &path))
    }

    /// Where another program is, looked for once.
    pub(super) fn found(&self, program: &str) -> Option<Utf8PathBuf> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        match programs.get(program) {
            Some(found) => found.clone(),
            None => {
                let found = find_program(program);
                programs.insert(program.to_owned(), found.clone());
                found
            }
        }
    }
}

/// The name of a test's emulator.
fn emulator_of(params: &Params) -> &str {
    params.text("qemu_binary").unwrap_or(EMULATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: [(&str, &str); 2] = [("machine_type", "q35"), ("cpu_model", "host")];

    fn python(identity: &str) -> Interpreter {
        Interpreter {
            path: "/usr/bin/python3".into(),
            identity: identity.to_owned(),
        }
    }

    fn tools() -> Tools {
        let answers = Answers {
            version: "10.0.2".into(),
            aliases: [("q35".to_owned(), "pc-q35-10.0".to_owned())].into(),
            data_dirs: vec!["/fw".into()],
        };
        let emulator = Emulator {
            binary: "/bin/qemu".into(),
            answers,
        };
        Tools {
            emulators: [(EMULATOR.to_owned(), emulator)].into(),
            python: Some(python("cpython-311 3.11.2")),
            kernel: "6.1.0".into(),
            cpu: Cpu {
                model: "model name EPYC".into(),
                flags: "avx fpu".into(),
            },
            ..Tools::default()
        }
    }

    /// The fields of the host in the key of a test whose machine has these parameters.
    fn fields(tools: &Tools, accel: Accel, entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let params: Params = entries.iter().copied().collect();
        let machine = MachineSpec::from_params("vm1", &params, "".into()).unwrap();
        let facts = Facts {
            params: &params,
            machines: &[machine],
            accel: Some(accel),
            more: vec![("runtime", "auto".into())],
            programs: &[],
        };
        let host = tools.host(&facts);
        let facts = host
            .facts
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_deref().unwrap_or("absent").to_owned()));
        let files = host
            .files
            .iter()
            .map(|file| (file.name.to_string(), file.path.to_string()));
        facts.chain(files).collect()
    }

    /// The names of those that differ.
    fn differ(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
        let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| one.get(*name) != other.get(*name));
        changed.cloned().collect()
    }

    #[test]
    fn each_tool_counts_for_those_whom_it_reaches() {
        let translated = fields(&tools(), Accel::Tcg, &HOST);
        assert_eq!(translated["machine type of vm1"], "pc-q35-10.0");
        assert_eq!(translated["firmware bios-256k.bin"], "/fw/bios-256k.bin");
        assert_eq!(translated["emulator"], "/bin/qemu");
        for hidden in ["kernel", "processor", "processor flags"] {
            assert!(
                !translated.contains_key(hidden),
                "{hidden} is none of a translated guest's business"
            );
        }
        let native = fields(&tools(), Accel::Kvm, &HOST);
        assert_eq!(
            differ(&translated, &native),
            ["accelerator", "kernel", "processor", "processor flags"]
        );
        let named = fields(
            &tools(),
            Accel::Kvm,
            &[("machine_type", "q35"), ("cpu_model", "EPYC")],
        );
        assert_eq!(differ(&native, &named), ["processor"]);
    }

    #[test]
    fn a_change_of_each_tool_is_one_field() {
        type Change = fn(&mut Tools);
        let changes: [(&str, Change); 5] = [
            ("Python", |t| t.python = Some(python("cpython-313 3.13.1"))),
            ("kernel", |t| t.kernel = "6.12".into()),
            ("processor", |t| t.cpu.model = "model name Xeon".into()),
            ("processor flags", |t| t.cpu.flags = "fpu".into()),
            ("QEMU", |t| {
                for emulator in t.emulators.values_mut() {
                    emulator.answers.version = "10.1.0".into();
                }
            }),
        ];
        let before = fields(&tools(), Accel::Kvm, &HOST);
        for (field, change) in changes {
            let mut tools = tools();
            change(&mut tools);
            assert_eq!(differ(&before, &fields(&tools, Accel::Kvm, &HOST)), [field]);
        }
    }

    #[test]
    fn a_later_emulator_stands_for_a_later_machine() {
        let mut later = tools();
        for emulator in later.emulators.values_mut() {
            emulator.answers.aliases = [("q35".to_owned(), "pc-q35-10.1".to_owned())].into();
        }
        let of = |tools: &Tools, kind: &str| fields(tools, Accel::Tcg, &[("machine_type", kind)]);
        assert_eq!(
            differ(&of(&tools(), "q35"), &of(&later, "q35")),
            ["machine type of vm1"]
        );
        // One that is named with its version stays what it is.
        assert!(differ(&of(&tools(), "pc-q35-10.0"), &of(&later, "pc-q35-10.0")).is_empty());
    }

    #[test]
    fn tests_share_what_is_the_same() {
        let (tools, params) = (tools(), Params::new());
        let facts = |runtime: &str| Facts {
            params: &params,
            machines: &[],
            accel: None,
            more: vec![("runtime", runtime.to_owned())],
            programs: &[],
        };
        assert!(Arc::ptr_eq(
            &tools.host(&facts("auto")),
            &tools.host(&facts("auto"))
        ));
        assert!(!Arc::ptr_eq(
            &tools.host(&facts("auto")),
            &tools.host(&facts("own"))
        ));
        let names: Vec<String> = tools
            .host(&facts("auto"))
            .facts
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        assert_eq!(
            names,
            ["Python", "runtime"],
            "a test without machines depends on no machine's"
        );
    }
}
