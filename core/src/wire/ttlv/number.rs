//! Numbers, exact: sign, magnitude and decimals (QUECTHING.md 4.4).

use core::str::FromStr;

use crate::text::{Text, by_ten, decimal};

/// Decimals that a number may have.
pub const DECIMALS_MAX: u8 = 15;

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// `magnitude / 10^decimals`, in its canonical form: as few decimals as possible, no negative zero. So two numbers
/// are equal when their values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    decimals: u8,
    magnitude: u64,
}

/// Which side of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Zero or above.
    Plus,
    /// Below zero.
    Minus,
}

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not digits with one point at most.
    #[error("byte {at} of the text cannot stand in a number; like -3.75 is right")]
    Form {
        /// Byte offset within the text.
        at: usize,
    },
    /// More decimals than the wire has.
    #[error("{decimals} decimals; at most 15 fit")]
    Decimals {
        /// How many, without zeros at the end.
        decimals: usize,
    },
    /// Its digits exceed 64 bits.
    #[error("the digits exceed 64 bits")]
    TooLarge,
}

impl Number {
    /// 0.
    pub const ZERO: Number = Number { negative: false, decimals: 0, magnitude: 0 };

    /// The number of these parts in its canonical form; `None` for more than 15 decimals.
    pub const fn new(sign: Sign, magnitude: u64, decimals: u8) -> Option<Number> {
        if decimals > DECIMALS_MAX {
            return None;
        }
        Some(Number::canonical(matches!(sign, Sign::Minus), magnitude, decimals))
    }

    /// `decimals` is at most 15.
    pub(super) const fn canonical(negative: bool, mut magnitude: u64, mut decimals: u8) -> Number {
        while decimals > 0 {
            let (tenth, digit) = by_ten(magnitude);
            if digit != 0 {
                break;
            }
            magnitude = tenth;
            decimals = decimals.wrapping_sub(1);
        }
        Number { negative: negative && magnitude != 0, decimals, magnitude }
    }

    /// The nearest number with at most 15 decimals, and the shortest that reads back as the same float. `None` for
    /// what is no number or exceeds 64 bits.
    pub fn from_f64(float: f64) -> Option<Number> {
        let size = if float < 0.0 { -float } else { float };
        if size.is_nan() || size >= TWO_TO_64 {
            return None;
        }
        let mut best = Number::canonical(float < 0.0, size as u64, 0);
        let mut scale = 1.0;
        for decimals in 0..=DECIMALS_MAX {
            let scaled = size * scale + 0.5;
            if scaled >= TWO_TO_64 {
                break;
            }
            // Beyond 2^52 adding a half rounds by itself; the float is integral there.
            let magnitude =
                if scaled < 4_503_599_627_370_496.0 { scaled as u64 } else { (size * scale) as u64 };
            best = Number::canonical(float < 0.0, magnitude, decimals);
            if magnitude as f64 / scale == size {
                break;
            }
            scale *= 10.0;
        }
        Some(best)
    }

    /// Which side of zero.
    pub const fn sign(self) -> Sign {
        if self.negative { Sign::Minus } else { Sign::Plus }
    }

    /// Digits after the point, 0..=15.
    pub const fn decimals(self) -> u8 {
        self.decimals
    }

    /// All digits, without sign and point.
    pub const fn magnitude(self) -> u64 {
        self.magnitude
    }

    /// The exact value; `None` when it has decimals or does not fit.
    pub fn to_i64(self) -> Option<i64> {
        match (self.decimals, self.negative) {
            (0, false) => i64::try_from(self.magnitude).ok(),
            (0, true) => 0i64.checked_sub_unsigned(self.magnitude),
            _ => None,
        }
    }

    /// The exact value; `None` when it has decimals or is negative.
    pub fn to_u64(self) -> Option<u64> {
        if self.decimals == 0 && !self.negative { Some(self.magnitude) } else { None }
    }

    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        let mut scale = 1.0;
        for _ in 0..self.decimals {
            scale *= 10.0;
        }
        let size = self.magnitude as f64 / scale;
        if self.negative { -size } else { size }
    }

    /// In decimal: `-0.05`.
    pub fn text(self) -> Text<24> {
        const ZEROS: &str = "000000000000000";
        let mut digits = [0; 20];
        let digits = decimal(self.magnitude, &mut digits);
        let decimals = usize::from(self.decimals);
        let point = digits.len().saturating_sub(decimals);
        let (whole, fraction) = digits.split_at_checked(point).unwrap_or_default();
        let zeros = ZEROS.get(..decimals.saturating_sub(fraction.len())).unwrap_or_default();
        let sign = if self.negative { "-" } else { "" };
        let (whole, point) =
            (if whole.is_empty() { "0" } else { whole }, if decimals > 0 { "." } else { "" });
        let mut text = Text::new();
        // Sign, point and the 20 digits of 2^64 fit.
        let _ = text.push_all(&[sign, whole, point, zeros, fraction]);
        text
    }
}

impl FromStr for Number {
    type Err = NumberError;

    /// `[+-]digits[.digits]`, exact.
    fn from_str(text: &str) -> Result<Number, NumberError> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        let offset = text.len().saturating_sub(digits.len());
        let mut halves = digits.splitn(2, |byte| *byte == b'.');
        let whole = halves.next().unwrap_or_default();
        let fraction = halves.next();
        if whole.is_empty() || fraction.is_some_and(<[u8]>::is_empty) {
            let at = if whole.is_empty() { offset } else { text.len() };
            return Err(NumberError::Form { at });
        }
        let mut fraction = fraction.unwrap_or_default();
        let fraction_at = offset.saturating_add(whole.len()).saturating_add(1);
        for (begin, part) in [(offset, whole), (fraction_at, fraction)] {
            if let Some(at) = part.iter().position(|byte| !byte.is_ascii_digit()) {
                return Err(NumberError::Form { at: begin.saturating_add(at) });
            }
        }
        while let [rest @ .., b'0'] = fraction {
            fraction = rest;
        }
        let decimals = match u8::try_from(fraction.len()) {
            Ok(decimals) if decimals <= DECIMALS_MAX => decimals,
            _ => return Err(NumberError::Decimals { decimals: fraction.len() }),
        };
        let mut magnitude = 0u64;
        for digit in whole.iter().chain(fraction) {
            magnitude = magnitude
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u64::from(digit.wrapping_sub(b'0'))))
                .ok_or(NumberError::TooLarge)?;
        }
        Ok(Number::canonical(negative, magnitude, decimals))
    }
}

impl core::fmt::Display for Number {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text().as_str())
    }
}

macro_rules! from {
    ($($integer:ty)*: $value:ident, $negative:expr, $magnitude:expr) => {$(
        impl From<$integer> for Number {
            fn from($value: $integer) -> Number {
                Number { negative: $negative, decimals: 0, magnitude: $magnitude.into() }
            }
        }
    )*};
}
from!(u8 u16 u32 u64: value, false, value);
from!(i8 i16 i32 i64: value, value < 0, value.unsigned_abs());

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn numbers_with_the_same_value_are_equal() {
        assert_eq!(Number::new(Sign::Plus, 200, 2), Some(Number::from(2u8)));
        assert_eq!(Number::new(Sign::Minus, 0, 15), Some(Number::ZERO));
        assert_eq!(Number::new(Sign::Plus, 1, 16), None);
        assert_eq!("-3.750".parse(), Ok(Number::new(Sign::Minus, 375, 2).unwrap()));
    }

    #[test]
    fn the_ends_of_the_range_are_exact() {
        assert_eq!(Number::from(i64::MIN).magnitude(), 1 << 63);
        assert_eq!(Number::from(i64::MIN).to_i64(), Some(i64::MIN));
        assert_eq!(Number::from(i64::MAX).to_i64(), Some(i64::MAX));
        assert_eq!(Number::from(u64::MAX).to_u64(), Some(u64::MAX));
        assert_eq!(Number::from(u64::MAX).to_i64(), None);
        assert_eq!(Number::new(Sign::Minus, u64::MAX, 0).unwrap().to_i64(), None);
        assert_eq!(Number::from(-1i8).to_u64(), None);
        assert_eq!("0.5".parse::<Number>().unwrap().to_i64(), None);
    }

    #[test]
    fn decimals_print_as_they_read() {
        for text in ["0", "-0.05", "3.7", "-113", "18446744073709551615", "-9223372036854775808"] {
            assert_eq!(text.parse::<Number>().unwrap().to_string(), text);
        }
        let smallest = "-0.000000000000001";
        assert_eq!(smallest.parse::<Number>().unwrap().to_string(), smallest);
        let longest = "-18446.744073709551615";
        assert_eq!(longest.parse::<Number>().unwrap().to_string(), longest);
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        let form = |at| Err(NumberError::Form { at });
        for (text, wrong) in [
            ("", form(0)),
            ("-", form(1)),
            (".5", form(0)),
            ("5.", form(2)),
            ("1.2.3", form(3)),
            ("12a", form(2)),
            ("0.0000000000000001", Err(NumberError::Decimals { decimals: 16 })),
            ("18446744073709551616", Err(NumberError::TooLarge)),
        ] {
            assert_eq!(text.parse::<Number>(), wrong, "{text}");
        }
        assert_eq!("1.00000000000000000000000".parse(), Ok(Number::from(1u8)));
    }

    #[test]
    fn floats_become_their_shortest_decimals() {
        for (float, text) in [
            (3.7, "3.7"),
            (-0.05, "-0.05"),
            (0.07, "0.07"),
            (2.0, "2"),
            (1e15, "1000000000000000"),
            (-0.0, "0"),
        ] {
            let number = Number::from_f64(float).unwrap();
            assert_eq!(number.to_string(), text);
            assert_eq!(number.to_f64(), float);
        }
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_f64(f64::INFINITY), None);
        assert_eq!(Number::from_f64(1e20), None);
        assert_eq!(Number::from_f64(1.0 / 3.0).unwrap().to_string(), "0.333333333333333");
    }
}
