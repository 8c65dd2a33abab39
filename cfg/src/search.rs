//! Finds the paths of the tree that no filter removes, without entering subtrees that cannot hold any.
//!
//! A filter is judged at every node with what is known there: the labels so far, and the set of labels that the
//! subtree below can still add. Only `only` and `no` matter here; conditions count as guards of the filters under them.
//! Operations are not looked at.

mod asked;
mod counting;
mod facts;
mod inward;
mod join;
mod outside;
mod removed;
mod state;
mod tables;
mod through;
mod walk;

pub(crate) use state::{State, Truth};
pub(crate) use tables::Tables;
pub(crate) use through::{Answer, InForce, Part, Through, Want};
pub(crate) use walk::{Walk, WalkOptions};
