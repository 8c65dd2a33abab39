//! From a test's machine to the state that it may begin from, or to the reason why it boots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8Path;
use vtbuild_cache::Digest;
use vtbuild_engine::spec::{Aid, Claim, Declared, Need, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::accel::Accel;
use vtbuild_providers::machine::MachineSpec;
use vtbuild_providers::params::Params;

use super::{NAME, Policy, StatePayload, disks};
use crate::test::around::kernel_params;
use crate::test::declare::{HostFacts, boot_files};
use crate::test::images::{self, ImageUse};
use crate::test::modules;

/// By which a test says that its guests have to boot (`no`), or that they need not (`yes`).
pub(crate) const PARAM: &str = "guest_state";
/// Parameters that decide how a guest is logged in to.
pub(super) const LOGIN: [&str; 6] = [
    "username",
    "password",
    "shell_prompt",
    "shell_linesep",
    "status_test_command",
    "shell_port",
];
/// Parameters that name programs.
pub(super) const TOOLS: [&str; 2] = ["qemu_binary", "qemu_img_binary"];
/// Types of tests that are about booting.
const BOOTING: [&str; 2] = ["boot", "unattended_install"];
/// Memory that QEMU itself takes, in MiB.
const OVERHEAD_MIB: u32 = 64;

/// States that were declared, by label: thousands of tests share one.
pub(crate) type Known = Mutex<HashMap<Arc<str>, Vec<Arc<Spec>>>>;

/// A test that has machines.
pub(crate) struct Asker<'a> {
    pub(crate) variant: &'a Variant,
    /// Its parameters. What is asked of them here is no question of the test's.
    pub(crate) params: &'a Params,
    pub(crate) facts: &'a HostFacts,
    pub(crate) images: &'a [ImageUse],
    /// The first way in which it will be run has our own machines.
    pub(crate) ours: bool,
    pub(crate) known: &'a Known,
    /// Recipes that were looked for.
    pub(crate) recipes: &'a modules::Known,
}

/// The role of a machine's state among the aids of its test.
pub(crate) fn role(vm: &str) -> Arc<str> {
    Arc::from(format!("state of {vm}"))
}

impl Asker<'_> {
    /// The states that the test's machines may begin from, and of all others that it starts why they boot.
    pub(crate) fn beginnings(&self, machines: &[MachineSpec]) -> (Vec<Aid>, Vec<(String, String)>) {
        let (mut aids, mut boots) = (Vec::new(), Vec::new());
        if self.facts.guest_states == Policy::Never {
            return (aids, boots);
        }
        for machine in machines {
            let vm = machine.name.as_str();
            let view = self.params.object(vm);
            if view.switch("start_vm").ok().flatten() != Some(true) {
                continue;
            }
            match self.adjusted(vm, view, machine) {
                Ok(aid) => aids.push(aid),
                Err(reason) => boots.push((vm.to_owned(), reason)),
            }
        }
        (aids, boots)
    }

    /// With the kernel's parameters as the test wants them.
    fn adjusted(&self, vm: &str, view: Params, machine: &MachineSpec) -> Result<Aid, String> {
        let view = kernel_params::adjusted(vm, view).map_err(|(_, reason)| reason)?;
        if view.text("kernel_params") == machine.boot.append.as_deref() {
            return self.aid(vm, &view, machine);
        }
        let machine =
            MachineSpec::from_params(vm, &view, Utf8Path::new("")).map_err(|error| error.to_string())?;
        self.aid(vm, &view, &machine)
    }

    /// The state that the machine `vm` may begin from. The error is a clause about it: why it boots.
    fn aid(&self, vm: &str, view: &Params, machine: &MachineSpec) -> Result<Aid, String> {
        let accel = Accel::from_params(self.params).map_err(|error| error.to_string())?;
        let accel = accel.or(self.facts.accel).unwrap_or(Accel::Tcg);
        self.why_it_boots(view, accel)?;
        if let Some(reason) = machine.why_not_saved() {
            return Err(reason);
        }
        if machine.nics().next().is_none() {
            return Err("it has no network card to log in by".into());
        }
        let disks = disks::of_machine(vm, machine, self.images)?;
        let spec = self.spec(vm, view, machine, disks, accel)?;
        Ok(Aid {
            role: role(vm),
            spec: self.shared(spec),
            from: self.facts.guest_states.worth(),
        })
    }

    /// What speaks against a state, but for the machine itself.
    fn why_it_boots(&self, view: &Params, accel: Accel) -> Result<(), String> {
        if !self.ours {
            return Err("upstream's package starts the machines of this test".into());
        }
        let wish = view.switch(PARAM).map_err(|error| error.to_string())?;
        if wish == Some(false) {
            return Err(format!("`{PARAM} = no`"));
        }
        let booting = |kind: &&str| BOOTING.iter().any(|about| kind.starts_with(about));
        let kinds = self.params.objects("type");
        if let Some(kind) = kinds.into_iter().find(booting).filter(|_| wish.is_none()) {
            return Err(format!(
                "the test is about booting (`type = {kind}`; `{PARAM} = yes` if not)"
            ));
        }
        for (key, usual) in [
            ("os_type", "linux"),
            ("shell_client", "ssh"),
            ("username", "root"),
        ] {
            if let Some(other) = view.text(key).filter(|value| *value != usual) {
                return Err(format!(
                    "only {usual} is known how to bring up to date (`{key} = {other}`)"
                ));
            }
        }
        if view.switch("hugepage").map_err(|error| error.to_string())? == Some(true) {
            return Err("its memory is in huge pages, which are set aside for its test alone".into());
        }
        // A machine that can be saved names no file that such a command could make. Beside files it may set up the host's KVM,
        // of whose parameters the guest's processor is made; an emulated one is made of QEMU alone.
        match view.text("pre_command") {
            Some(_) if accel == Accel::Kvm => Err("`pre_command` may set up KVM for it".into()),
            _ => Ok(()),
        }
    }

    fn spec(
        &self,
        vm: &str,
        view: &Params,
        machine: &MachineSpec,
        disks: Vec<ImageUse>,
        accel: Accel,
    ) -> Result<Spec, String> {
        let declared = self.declared(view, machine, &disks, accel);
        let first = disks
            .first()
            .and_then(|disk| disk.spec.file.file_stem())
            .unwrap_or("no disk");
        let title = format!("{vm} on {first} [{}]", short(&declared));
        let mut spec = Spec::new(NAME, format!("guest {title}"));
        spec.title = Arc::from(title);
        spec.declared = declared.into();
        spec.host = self.facts.tools.of_state(self.params, machine, accel);
        let mut sources = boot_files(self.params, self.facts);
        sources.sort();
        sources.dedup();
        spec.sources = sources.into();
        let needs = disks
            .iter()
            .filter_map(|image| images::need(image, self.params, self.facts, self.recipes).transpose());
        let needs: Vec<Need> = needs.collect::<Result<_, _>>()?;
        spec.needs = needs.into();
        // A disk may come from a test before this one.
        spec.after = self.variant.dep.iter().cloned().collect();
        spec.claim = Claim {
            memory_mib: u32::try_from(machine.mem_mib)
                .unwrap_or(u32::MAX / 4)
                .saturating_add(OVERHEAD_MIB),
            vcpus: machine.smp.cpus,
        };
        spec.payload = Arc::new(StatePayload {
            vm: vm.to_owned(),
            listed: self.variant.params.clone(),
            images: disks,
        });
        Ok(spec)
    }

    /// Everything that enters the key beside files and what disks are made of, sorted by name.
    fn declared(
        &self,
        view: &Params,
        machine: &MachineSpec,
        disks: &[ImageUse],
        accel: Accel,
    ) -> Vec<Declared> {
        let value = |params: &Params, key: &'static str| (Arc::from(key), params.get(key).map(Arc::from));
        let login = LOGIN.iter().map(|key| value(view, key));
        let tools = TOOLS.iter().map(|key| value(self.params, key));
        let blanks = disks::declared(disks);
        let mut declared: Vec<Declared> = login.chain(tools).chain(blanks).collect();
        let line = shell_words::join(machine.identity(accel));
        declared.push((Arc::from("command line"), Some(Arc::from(line))));
        declared.sort();
        declared
    }

    /// The same action as it was declared by the first test that asked.
    fn shared(&self, spec: Spec) -> Arc<Spec> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = known.entry(spec.label.clone()).or_default();
        if let Some(known) = same.iter().find(|known| known.same_action(&spec)) {
            return known.clone();
        }
        let spec = Arc::new(spec);
        same.push(spec.clone());
        spec
    }
}

fn short(declared: &[Declared]) -> String {
    let mut text = String::new();
    for (name, value) in declared {
        text.push_str(&format!("{name} {value:?}\n"));
    }
    Digest::of(text.as_bytes()).short()[..6].to_owned()
}
