//! What the host has, and what running actions have taken of it.

use crate::spec::Claim;

/// What may be taken at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Actions running at once.
    pub jobs: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub vcpus: u32,
}

/// A count of what is taken.
#[derive(Clone, Debug)]
pub struct Claims {
    capacity: Capacity,
    running: u32,
    memory_mib: u32,
    vcpus: u32,
}

impl Claims {
    /// Nothing taken yet.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            running: 0,
            memory_mib: 0,
            vcpus: 0,
        }
    }

    /// Whether `claim` fits beside what runs now. One that is larger than the whole host fits only alone: it would
    /// otherwise never run, and the host may still manage.
    #[must_use]
    pub fn fits(&self, claim: Claim) -> bool {
        if self.running == 0 {
            return true;
        }
        self.running < self.capacity.jobs
            && self.memory_mib.saturating_add(claim.memory_mib) <= self.capacity.memory_mib
            && self.vcpus.saturating_add(claim.vcpus) <= self.capacity.vcpus
    }

    /// Takes `claim`.
    pub fn take(&mut self, claim: Claim) {
        self.running += 1;
        self.memory_mib = self.memory_mib.saturating_add(claim.memory_mib);
        self.vcpus = self.vcpus.saturating_add(claim.vcpus);
    }

    /// Gives `claim` back.
    pub fn give_back(&mut self, claim: Claim) {
        self.running -= 1;
        self.memory_mib = self.memory_mib.saturating_sub(claim.memory_mib);
        self.vcpus = self.vcpus.saturating_sub(claim.vcpus);
    }

    /// How many actions run now.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.running
    }
}
