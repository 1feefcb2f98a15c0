//! Why upgrades fail: numbers for the journal and the wire, words for people.

use super::staging::StagingError;
use crate::platform::StorageError;
use crate::text::without_nuls;

/// Why a download or an upgrade failed. The numbers stay as they are: they are in journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Failure {
    /// 30 s without a URL.
    NoUrl = 1,
    /// A URL packet with fields missing or unusable.
    BadInfo = 2,
    /// An image (module) or a piece (MCU) without room.
    NoRoom = 3,
    /// Connect failure, or no head in time.
    NoAnswer = 4,
    /// The HTTP status is neither 200 nor 206.
    HttpStatus = 5,
    /// Another range or length than asked for.
    WrongRange = 6,
    /// The body ended early.
    Short = 7,
    /// The body goes on behind its end.
    Long = 8,
    /// No byte for too long.
    Stalled = 9,
    /// The staging area failed, or reads back other bytes than were written.
    Storage = 10,
    /// The digests of the whole image are not those announced.
    WrongDigest = 11,
    /// The plan did not come back after a failed download.
    PlanGone = 12,
    /// 60 s without a read.
    NotRead = 13,
    /// No new version in time.
    NoVersion = 14,
    /// A version that is neither the old nor the new one.
    OtherVersion = 15,
    /// Apply refused the module image.
    ApplyRefused = 16,
    /// The application gave the upgrade up.
    Cancelled = 17,
    /// The application held the module image back for too long.
    HeldTooLong = 18,
    /// The device restarted again and again without getting further.
    Restarts = 19,
    /// A module package of several files, and the port's apply takes one.
    NoPackages = 20,
    /// The body came, but too slowly ([`super::timer::overall`]).
    TooSlow = 21,
    /// A URL longer than [`FIRMWARE_URL`](crate::limits::FIRMWARE_URL), or URLs of a package longer than [`PACKAGE_URLS`](crate::limits::PACKAGE_URLS) together.
    UrlTooLong = 22,
    /// The body is compressed: another Content-Encoding than identity.
    Encoded = 23,
    /// What was staged before a restart reads back otherwise.
    Damaged = 24,
}

impl Failure {
    /// All of them, by number.
    pub const ALL: &'static [Failure] = &[
        Failure::NoUrl,
        Failure::BadInfo,
        Failure::NoRoom,
        Failure::NoAnswer,
        Failure::HttpStatus,
        Failure::WrongRange,
        Failure::Short,
        Failure::Long,
        Failure::Stalled,
        Failure::Storage,
        Failure::WrongDigest,
        Failure::PlanGone,
        Failure::NotRead,
        Failure::NoVersion,
        Failure::OtherVersion,
        Failure::ApplyRefused,
        Failure::Cancelled,
        Failure::HeldTooLong,
        Failure::Restarts,
        Failure::NoPackages,
        Failure::TooSlow,
        Failure::UrlTooLong,
        Failure::Encoded,
        Failure::Damaged,
    ];

    /// The failure with this number, from a journal; `None` for 0 and for one of a later version.
    pub fn of(number: u16) -> Option<Failure> {
        Failure::ALL.iter().copied().find(|failure| *failure as u16 == number)
    }

    /// Whether what came, or where it is staged, is at fault: another try soon shows whether it lasts.
    pub const fn is_of_device(self) -> bool {
        matches!(self, Failure::Storage | Failure::WrongDigest | Failure::Damaged)
    }

    /// The reason in words.
    pub fn text(self) -> &'static str {
        without_nuls(self.with_nuls())
    }

    /// The reason in words, for C.
    pub const fn with_nuls(self) -> &'static str {
        match self {
            Failure::NoUrl => c_words!("the platform sent no firmware URL in time"),
            Failure::BadInfo => c_words!("the platform's firmware information is incomplete or not usable"),
            Failure::NoRoom => c_words!("the staging area has no room for the image"),
            Failure::NoAnswer => c_words!("the firmware server does not answer"),
            Failure::HttpStatus => c_words!("the firmware server answered another status than 200 or 206"),
            Failure::WrongRange => c_words!("the firmware server sent another range than was asked for"),
            Failure::Short => c_words!("the firmware body ended early"),
            Failure::Long => c_words!("the firmware body is longer than was asked for"),
            Failure::Stalled => c_words!("the download stalled"),
            Failure::Storage => c_words!("the staging area failed"),
            Failure::WrongDigest => c_words!("the digests of the image are not the announced ones"),
            Failure::PlanGone => c_words!("the plan did not come back after a failed download"),
            Failure::NotRead => c_words!("the application did not read the staged piece in time"),
            Failure::NoVersion => c_words!("the new version was not reported in time"),
            Failure::OtherVersion => c_words!("another version than the target was reported"),
            Failure::ApplyRefused => c_words!("the platform's apply refused the image"),
            Failure::Cancelled => c_words!("the application cancelled the upgrade"),
            Failure::HeldTooLong => c_words!("the application held the module firmware back for too long"),
            Failure::Restarts => c_words!("the device restarted again and again without getting further"),
            Failure::NoPackages => {
                c_words!("the package has several files, and the platform's apply takes one")
            }
            Failure::TooSlow => c_words!("the download took too long"),
            Failure::UrlTooLong => c_words!("the firmware URL is longer than the device can hold"),
            Failure::Encoded => {
                c_words!("the firmware server sent a compressed body; the file is wanted as it is")
            }
            Failure::Damaged => c_words!("staged bytes changed; they are fetched again"),
        }
    }
}

impl From<StagingError> for Failure {
    fn from(error: StagingError) -> Self {
        match error {
            StagingError::Storage(StorageError::Full) | StagingError::PieceTooLong { .. } => Failure::NoRoom,
            _ => Failure::Storage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    #[test]
    fn every_failure_has_a_number_and_words_of_its_own_that_fit_the_wire() {
        let source = include_str!("failure.rs");
        let declared = source.split("pub enum Failure {").nth(1).unwrap().split("\n}").next().unwrap();
        assert_eq!(declared.matches(" = ").count(), Failure::ALL.len(), "one is not in ALL");
        for (at, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(Failure::of(*failure as u16), Some(*failure));
            assert!((1..=limits::REASON_TEXT).contains(&failure.text().len()), "{failure:?}");
            let others = Failure::ALL.iter().take(at);
            assert!(others.clone().all(|other| other.text() != failure.text()), "{failure:?}");
        }
        assert_eq!((Failure::of(0), Failure::of(u16::MAX)), (None, None));
    }
}
