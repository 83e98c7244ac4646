//! How a disk is served
