//! The algorithms, and nothing else: no mapping, no system call, no clock. They see memory through the traits of [`storage`], and
//! atomics through the facade, so that loom runs the code that ships.

pub mod cursor;
pub mod ends;
pub mod multi;
pub mod position;
pub mod presence;
pub mod records;
pub mod slots;
pub mod storage;
