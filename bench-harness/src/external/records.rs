//! The records of a payload or of a workload as a file that programs can read: each behind its length, 4 bytes, little-endian.

use std::io::{self, BufWriter, Write};

use tempfile::NamedTempFile;

use crate::payload::{Origin, Profile, Records};
use crate::transport::names;

/// The file. It is gone when this is dropped.
#[derive(Debug)]
pub struct RecordsFile(NamedTempFile);

impl RecordsFile {
    /// How long it is for such records.
    pub fn len_of(profile: &Profile) -> u64 {
        profile.bytes + profile.records * size_of::<u32>() as u64
    }

    /// Writes it.
    ///
    /// # Errors
    /// That there are no records, or what the system says.
    pub fn create(origin: &Origin) -> Result<Self, String> {
        let records = Records::load(origin)?;
        let write = || -> io::Result<Self> {
            let mut builder = tempfile::Builder::new();
            // Nobody but this user can read it: that is how such files are made.
            let file = builder.prefix(&names::unique()).rand_bytes(0).tempfile()?;
            let mut out = BufWriter::new(file);
            for index in 0..records.profile().records {
                let record = records.at(index);
                out.write_all(&(record.len() as u32).to_le_bytes())?;
                out.write_all(record)?;
            }
            Ok(Self(out.into_inner()?))
        };
        write().map_err(|error| format!("the records can't be written for the program: {error}"))
    }

    /// Where it is.
    ///
    /// # Errors
    /// When the directory for temporary files has a name that is no text.
    pub fn path(&self) -> Result<String, String> {
        let path = self.0.path();
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| format!("the path {} is no text", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::payload::Frame;

    #[test]
    fn the_file_has_all_records_in_their_order_and_is_removed() {
        let origin = Origin::Workload("logs:3".parse().unwrap());
        let file = RecordsFile::create(&origin).unwrap();
        let path = file.path().unwrap();
        let len = std::fs::metadata(&path).unwrap().len();
        let (whole, read) = (
            Records::load(&origin).unwrap(),
            Records::open(Path::new(&path), Frame::Len32).unwrap(),
        );
        assert_eq!(read.profile().records, whole.profile().records);
        assert_eq!(RecordsFile::len_of(whole.profile()), len);
        for index in 0..whole.profile().records {
            assert_eq!(read.at(index), whole.at(index));
        }
        drop(file);
        assert!(!Path::new(&path).exists());
    }
}
