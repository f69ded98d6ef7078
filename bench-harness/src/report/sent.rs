//! What was sent, where it wasn't made up: the records of a file, or of a workload.

use super::document::{Payload, Report, WorkloadSent};
use super::numbers::{figure, whole};
use crate::payload::{Origin, Profile};
use crate::scenario::PayloadPlan;

/// The file that was sent, if it was one.
pub fn file(plan: &PayloadPlan) -> Option<Payload> {
    let Origin::File { file, frame } = &plan.origin else {
        return None;
    };
    Some(Payload {
        file: file.display().to_string(),
        frame: frame.to_string(),
        profile: plan.profile.clone(),
    })
}

/// The workload that was sent, if it was one.
pub fn workload(plan: &PayloadPlan) -> Option<WorkloadSent> {
    let Origin::Workload(workload) = &plan.origin else {
        return None;
    };
    Some(WorkloadSent {
        name: workload.kind,
        seed: workload.seed,
        crc32: format!("{:08x}", plan.checksum?),
        profile: plan.profile.clone(),
        rhythm: plan.rhythm?,
    })
}

impl Report {
    /// What was sent, in one sentence; nothing if the messages were made up.
    pub fn sent(&self) -> Option<String> {
        let of_file = self.payload.as_ref().map(|payload| {
            let records = told(&payload.profile);
            format!("{} as {}: {records}", payload.file, payload.frame)
        });
        of_file.or_else(|| {
            let workload = self.workload.as_ref()?;
            let (records, rhythm) = (told(&workload.profile), workload.rhythm);
            Some(format!(
                "{}:{} (crc32 {}): {records}; {} a second in the mean and {} in the fullest millisecond",
                workload.name.name(),
                workload.seed,
                workload.crc32,
                figure(Some(rhythm.mean_rate_per_second)),
                figure(Some(rhythm.peak_rate_per_second)),
            ))
        })
    }
}

fn told(profile: &Profile) -> String {
    format!(
        "{} records, {} bytes; shortest {}, median {}, longest {} bytes",
        whole(Some(profile.records)),
        whole(Some(profile.bytes)),
        whole(Some(profile.len_min as u64)),
        whole(Some(profile.len_median as u64)),
        whole(Some(profile.len_max as u64))
    )
}
