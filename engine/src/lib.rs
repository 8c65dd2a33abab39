//! The engine: from files to variants to a graph of actions, and from a graph to what has to run.
//!
//! | module | what it is for |
//! |---|---|
//! | [`session`] | a workspace's files as inputs, and what they expand to; `salsa` stays behind it, in `db` |
//! | [`shelf`] | linked programs kept on disk from one process to the next |
//! | [`generate`] | `subtests.cfg` and `guest-os.cfg`, derived from the providers and the guest definitions |
//! | [`variant`] | a variant as rules see it |
//! | [`outline`] | what is selected, before a parameter is computed, and what an edit has reached of it |
//! | [`spec`], [`rule`] | what a rule declares about an action; the plug |
//! | [`dep`], [`graph`] | which variants a `dep` entry means; the action graph; `petgraph` stays in it |
//! | [`key`], [`observe`] | what a key contains; what is read beyond it |
//! | [`resolve`], [`reason`] | when a record is a hit; why it is not |
//! | [`plan`], [`estimate`] | what would run, and how long it would take |
//! | [`recall`] | what of that need not be found out again |
//! | [`affected`] | what of that is due to a change |
//! | [`query`] | questions about the graph |
//! | [`schedule`] | carrying a plan out |
//! | [`event`], [`outcome`], [`cancel`] | what is told, what came of it, being told to stop |
//!
//! Analysis is synchronous; `async` begins in [`schedule`].

pub mod affected;
pub mod audit;
pub mod cancel;
mod db;
pub mod dep;
pub mod estimate;
pub mod event;
pub mod generate;
pub mod graph;
pub mod key;
pub mod observe;
pub mod outcome;
pub mod outline;
pub mod plan;
pub mod query;
pub mod reason;
pub mod recall;
pub mod resolve;
pub mod rule;
pub mod schedule;
pub mod session;
pub mod shelf;
pub mod spec;
pub mod variant;
