//! Digests, keys and stores.
