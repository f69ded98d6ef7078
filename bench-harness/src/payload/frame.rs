//! What a record of a file is.

use std::fmt;
use std::str::FromStr;

use parse_size::Config as SizeParser;
use serde::{Deserialize, Serialize};

use super::RECORD_LEN_MAX;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// A line with its line feed, so that the records together are the file. The last line may lack it.
    Line,
    /// So many bytes each; the last one may be shorter.
    Fixed(usize),
    /// A length of 32 bits, little-endian, and so many bytes, which are the record.
    Len32,
}

impl FromStr for Frame {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "line" => Ok(Self::Line),
            "len32" => Ok(Self::Len32),
            _ => {
                let Some(len) = text.strip_prefix("fixed=") else {
                    return Err("a frame is `line`, `fixed=N` or `len32`".to_owned());
                };
                let len = SizeParser::new()
                    .with_binary()
                    .parse_size(len)
                    .map_err(|error| format!("the length after `fixed=`: {error}"))?;
                if len == 0 || len > RECORD_LEN_MAX as u64 {
                    return Err(format!(
                        "fixed={len} is out of range: a record has 1 to {RECORD_LEN_MAX} bytes"
                    ));
                }
                Ok(Self::Fixed(len as usize))
            }
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line => f.write_str("line"),
            Self::Fixed(len) => write!(f, "fixed={len}"),
            Self::Len32 => f.write_str("len32"),
        }
    }
}
