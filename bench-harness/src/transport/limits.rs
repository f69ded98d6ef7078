//! Limits of the system, and the sentences that name them.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::LinkError;

/// A value of `sysctl`, by its name with dots (`net.core.wmem_max`).
pub fn sysctl(name: &str) -> Option<usize> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path)
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The same, with the kernel's own default for when it can't be read (no `/proc`, or hidden by a container).
pub fn sysctl_or(name: &str, default: usize) -> usize {
    sysctl(name).unwrap_or(default)
}

/// A message that is longer than `limit`, which `setting` sets and an administrator may raise.
pub fn message_too_long(len: usize, limit: usize, setting: &str) -> LinkError {
    LinkError::Unavailable(format!(
        "a message of {len} B is over the {limit} B that {setting} allows; \
         choose a smaller --size, or ask an administrator to raise {setting}"
    ))
}

/// Shared memory or a file of so many bytes, if that is over the limit of this process; nothing if it isn't.
pub fn file_too_long(len: u64) -> Option<LinkError> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    (len > limit).then(|| over_file_limit(len, limit))
}

fn over_file_limit(len: u64, limit: u64) -> LinkError {
    LinkError::Unavailable(format!(
        "{len} B of shared memory or of a file are over the {limit} B that this process may make; raise `ulimit -f`"
    ))
}

/// What it means that so many bytes of shared memory or of a file were refused: over the limit of this process they are unavailable.
pub fn not_made(len: u64, error: io::Error) -> LinkError {
    let is_limit = error.raw_os_error() == Some(Errno::EFBIG as i32);
    let told = is_limit.then(|| file_too_long(len)).flatten();
    told.unwrap_or(LinkError::Failed(error))
}

/// What a refused system call means: a mechanism that is absent or forbidden is unavailable, all else has failed.
pub fn refused(what: &str, errno: Errno) -> LinkError {
    let remedy = match errno {
        Errno::ENOSYS
        | Errno::EAFNOSUPPORT
        | Errno::EPROTONOSUPPORT
        | Errno::EOPNOTSUPP
        | Errno::ESOCKTNOSUPPORT => "this kernel was built without it",
        Errno::EPERM | Errno::EACCES => "a security policy of this system forbids it",
        Errno::EMFILE => {
            let error = io::Error::from(errno);
            return LinkError::Unavailable(format!("{what}: {}", told(&error)));
        }
        Errno::ENFILE => "the system has no descriptor left; raise fs.file-max",
        Errno::ENOENT | Errno::ENOTDIR => "the file system for it is not there",
        Errno::EROFS => "the file system for it is read-only",
        Errno::EFBIG => "this process may make no file of that length; raise `ulimit -f`",
        Errno::ENOSPC | Errno::ENOMEM | Errno::EDQUOT | Errno::ENOBUFS => {
            "there is no room for it; free some, or choose a smaller --size"
        }
        _ => return LinkError::Failed(io::Error::other(format!("{what}: {}", errno.desc()))),
    };
    LinkError::Unavailable(format!("{what}: {} ({remedy})", errno.desc()))
}

/// The same of something that is made at that path, in the directory for temporary files.
pub fn refused_at(what: &str, path: &Path, errno: Errno) -> LinkError {
    let folder = path.parent().unwrap_or(path).display();
    match errno {
        Errno::ENOENT
        | Errno::ENOTDIR
        | Errno::ELOOP
        | Errno::ENAMETOOLONG
        | Errno::EACCES
        | Errno::EPERM
        | Errno::EROFS => LinkError::Unavailable(format!(
            "{what} in {folder}: {}; set TMPDIR to a folder that is there and allows it",
            errno.desc()
        )),
        _ => refused(&format!("{what} in {folder}"), errno),
    }
}

/// An error in words; of too many descriptors with the limit and the remedy.
pub fn told(error: &io::Error) -> String {
    if error.raw_os_error() != Some(Errno::EMFILE as i32) {
        return error.to_string();
    }
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or_else(
        |_| "a limited number of".to_owned(),
        |(limit, _)| limit.to_string(),
    );
    format!(
        "{}: a process may have {limit} descriptors; raise the limit, as with `ulimit -n 1024`",
        Errno::EMFILE.desc()
    )
}

/// What a test gets of a mechanism, or nothing on a machine that does not have it.
///
/// # Panics
/// When it should have worked.
#[cfg(test)]
pub fn available<T>(made: Result<T, LinkError>) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(LinkError::Unavailable(reason)) => {
            eprintln!("not tested here: {reason}");
            None
        }
        Err(LinkError::Failed(error)) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctl_values_are_read_by_name() {
        assert!(sysctl("kernel.pid_max").unwrap() > 0);
        assert_eq!(sysctl("kernel.no_such_value"), None);
        assert_eq!(sysctl_or("kernel.no_such_value", 7), 7);
    }

    #[test]
    fn sentence_has_value_limit_and_remedy() {
        let LinkError::Unavailable(reason) = message_too_long(9000, 8192, "kernel.msgmax") else {
            panic!("a limit makes a link unavailable");
        };
        assert!(
            reason.contains("9000 B") && reason.contains("8192 B"),
            "{reason}"
        );
        assert!(reason.contains("raise kernel.msgmax"), "{reason}");
    }

    #[test]
    fn a_file_over_the_limit_has_value_limit_and_remedy_and_any_other_error_has_failed() {
        let LinkError::Unavailable(reason) = over_file_limit(65_536, 20_480) else {
            panic!("a limit makes a link unavailable");
        };
        for part in ["65536 B", "20480 B", "raise `ulimit -f`"] {
            assert!(reason.contains(part), "{reason}");
        }
        assert!(matches!(
            not_made(u64::MAX, Errno::EIO.into()),
            LinkError::Failed(_)
        ));
        assert!(file_too_long(0).is_none());
    }

    #[test]
    fn what_the_folder_refuses_names_it_and_the_remedy() {
        for errno in [Errno::ENOENT, Errno::EACCES, Errno::EROFS] {
            let LinkError::Unavailable(reason) =
                refused_at("mkfifo", Path::new("/no/such/name"), errno)
            else {
                panic!("a folder that refuses makes a link unavailable");
            };
            assert!(reason.contains("mkfifo in /no/such: "), "{reason}");
            assert!(reason.contains("set TMPDIR"), "{reason}");
        }
    }

    #[test]
    fn too_many_descriptors_are_told_with_the_limit() {
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let text = told(&io::Error::from(Errno::EMFILE));
        for part in ["Too many open files", &limit.to_string(), "`ulimit -n "] {
            assert!(text.contains(part), "{text}");
        }
        let other = io::Error::from(Errno::EBADF);
        assert_eq!(told(&other), other.to_string());
    }

    #[test]
    fn absent_mechanism_is_unavailable_and_a_surprise_has_failed() {
        assert!(matches!(
            refused("mq_open", Errno::ENOSYS),
            LinkError::Unavailable(_)
        ));
        assert!(matches!(
            refused("mq_open", Errno::EPERM),
            LinkError::Unavailable(_)
        ));
        assert!(matches!(
            refused("mq_open", Errno::EBADF),
            LinkError::Failed(_)
        ));
    }
}
