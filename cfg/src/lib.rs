//! The Cartesian configuration language.
