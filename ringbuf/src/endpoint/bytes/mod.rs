//! Endpoints for byte messages.

mod recv;
mod send;
