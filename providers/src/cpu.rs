//! The processor of this host, as far as a guest may see it.

/// The file in which the kernel says so.
const CPUINFO: &str = "/proc/cpuinfo";
/// The fields that tell one model from another, in the kernel's words for the architectures that we know.
const MODEL: [&str; 12] = [
    "model name",
    "vendor_id",
    "cpu family",
    "model",
    "stepping",
    "microcode",
    "cpu",
    "revision",
    "CPU implementer",
    "CPU variant",
    "CPU part",
    "CPU revision",
];
/// The fields that list what it can do.
const FLAGS: [&str; 3] = ["flags", "Features", "features"];

/// The first processor of a host; all others are taken to be the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Which one it is, in words: `model name AMD EPYC, vendor_id AuthenticAMD, …`.
    pub model: String,
    /// What it can do, sorted, with blanks between.
    pub flags: String,
}

impl Cpu {
    /// The processor of this host.
    #[must_use]
    pub fn of_this_host() -> Self {
        Self::parse(&std::fs::read_to_string(CPUINFO).unwrap_or_default())
    }

    fn parse(cpuinfo: &str) -> Self {
        let first = cpuinfo.split("\n\n").next().unwrap_or_default();
        let fields = || first.lines().filter_map(|line| line.split_once(':'));
        let field = |wanted: &str| {
            let found = fields().find(|(name, _)| name.trim() == wanted);
            found.map(|(_, value)| value.trim())
        };
        let model = MODEL
            .iter()
            .filter_map(|name| Some(format!("{name} {}", field(name)?)));
        let flags = FLAGS.iter().find_map(|name| field(name)).unwrap_or_default();
        let mut flags: Vec<&str> = flags.split_whitespace().collect();
        flags.sort_unstable();
        flags.dedup();
        Self {
            model: model.collect::<Vec<_>>().join(", "),
            flags: flags.join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_moment_to_moment_is_left_out() {
        let one = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9V74\nstepping\t: 1\ncpu MHz\t\t: 2596.100\nflags\t\t: sse fpu avx\nbogomips\t: 5192.20\n\nprocessor\t: 1\nvendor_id\t: other\n";
        let cpu = Cpu::parse(one);
        assert_eq!(
            cpu.model,
            "model name AMD EPYC 9V74, vendor_id AuthenticAMD, cpu family 25, model 17, stepping 1"
        );
        assert_eq!(cpu.flags, "avx fpu sse");
        assert_eq!(Cpu::parse(&one.replace("2596.100", "800.000")), cpu);
        let arm = Cpu::parse(
            "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n",
        );
        assert_eq!(
            (arm.model.as_str(), arm.flags.as_str()),
            ("CPU implementer 0x41, CPU part 0xd0c", "asimd fp")
        );
    }
}
