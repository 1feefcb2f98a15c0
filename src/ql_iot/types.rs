//! The names of the vendor's headers for C's types. The headers define them by hand, in their prelude: `quint32_t` is
//! `unsigned int` everywhere, where `uint32_t` may be `unsigned long`.

/// `unsigned char`
pub type quint8_t = u8;
/// `unsigned short`
pub type quint16_t = u16;
/// `int`
pub type qint32_t = i32;
/// `unsigned int`
pub type quint32_t = u32;
/// `long long`
pub type qint64_t = i64;
/// One byte, 0 or 1 from this library; any other byte an application hands in counts as 1.
pub type qbool = u8;

/// Accepted.
pub const TRUE: qbool = 1;
/// Refused now.
pub const FALSE: qbool = 0;
