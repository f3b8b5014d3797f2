//! Which vector instructions the kernels use: detected once, and never above what the machine has.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A set of vector instructions, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust, for every machine.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 values of f32 at a time.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 values of f32 at a time.
    Avx512,
    /// With AVX-512 BF16 too: 16 pairs of bf16 at a time. For f32 the same as [`Isa::Avx512`].
    Avx512Bf16,
}

impl Isa {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// What the calling thread's next kernel will use: the best the machine has, unless
    /// [`Isa::limit`] or [`Isa::force`] holds it lower.
    pub fn current() -> Self {
        FORCED.get().unwrap_or_else(|| {
            let limit = Self::ALL[LIMIT.load(Ordering::Relaxed)];
            limit.min(Self::detected())
        })
    }

    /// Holds all kernels of the process to this set, or to the best the machine has where that is
    /// less. What was packed before keeps the set it was packed for.
    pub fn limit(self) {
        LIMIT.store(self as usize, Ordering::Relaxed);
    }

    /// The best this machine has.
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                let bf16 = is_x86_feature_detected!("avx512bf16");
                return if bf16 { Self::Avx512Bf16 } else { Self::Avx512 };
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Those this machine has, from the least to the most.
    pub fn available() -> impl Iterator<Item = Self> {
        let detected = Self::detected();
        Self::ALL.into_iter().filter(move |isa| *isa <= detected)
    }

    /// Runs `f` with the kernels that the calling thread starts held to this set, or to the best
    /// the machine has where that is less.
    pub fn force<T>(self, f: impl FnOnce() -> T) -> T {
        struct Restore(Option<Isa>);
        impl Drop for Restore {
            fn drop(&mut self) {
                FORCED.set(self.0);
            }
        }
        let _restore = Restore(FORCED.replace(Some(self.min(Self::detected()))));
        f()
    }
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// Index in [`Isa::ALL`].
static LIMIT: AtomicUsize = AtomicUsize::new(Isa::ALL.len() - 1);

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512-bf16",
        })
    }
}

/// A name that is none of [`Isa::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownIsa(String);

impl fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Isa::ALL.map(|isa| isa.to_string()).join(", ");
        write!(f, "unknown instruction set `{}`: expected one of {known}", self.0)
    }
}

impl std::error::Error for UnknownIsa {}

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        let found = Self::ALL.into_iter().find(|isa| isa.to_string() == name);
        found.ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        let error = "sse9".parse::<Isa>().unwrap_err().to_string();
        assert!(error.contains("sse9") && error.contains("avx512"), "{error}");
    }

    #[test]
    fn forcing_ends_with_the_closure_and_never_goes_beyond_the_machine() {
        let before = Isa::current();
        Isa::Portable.force(|| {
            assert_eq!(Isa::current(), Isa::Portable);
            Isa::Avx512Bf16.force(|| assert_eq!(Isa::current(), Isa::detected()));
            assert_eq!(Isa::current(), Isa::Portable);
        });
        assert_eq!(Isa::current(), before);
    }
}
