//! A check of a port's storage that the port itself can run: erases, writes and reads both areas and names the first rule
//! of quecota_storage_t that does not hold.

use core::ffi::c_char;

use quecota_core::c_words;
use quecota_core::journal::Journal;

use super::error::{Error, NULL, PANIC, Words, quecota_error_t};
use super::event::hand_out;
use super::growing::Growing;
use super::table::{
    quecota_area_id_t, quecota_area_id_values, quecota_area_t, quecota_storage_result_t, quecota_storage_t,
};

/// The rule that a storage breaks, for quecota_check_storage(). Set `size` before.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_storage_fault_t {
    /// sizeof(quecota_storage_fault_t).
    pub size: u32,
    /// In which area: QUECOTA_AREA_*.
    pub area: quecota_area_id_t,
    /// At which byte of it.
    pub offset: u32,
    /// What should be there, or be returned: 0, QUECOTA_STORAGE_OK.
    pub expected: u32,
    /// What is there, or was returned.
    pub found: u32,
    /// The rule, in English: the function or member, and what it must do. NULL: all rules hold.
    pub rule: *const c_char,
}

// SAFETY: repr(C), size first; zeros are valid values.
unsafe impl Growing for quecota_storage_fault_t {
    const NAME: Words = Words::of("fault");
    const FIRST: usize = size_of::<Self>();
}

/// Checks the storage of a port, without a device: erases, writes and reads both areas whole, by the functions of the
/// table alone. **Nothing that was stored is left**; both areas are erased at the end. Run it once on a new board and after
/// each change of the flash driver, not at each start: it costs each block two to four erase cycles, and as much time as the
/// flash needs for that. It needs some 600 bytes of stack and waits for nothing else.
///
/// The rules, in the order in which they are looked at: the sizes are those that quecota_init() takes; an erased byte reads
/// as `erased`; what was written is read back, and its neighbours are as before; `sync` succeeds; each byte of the area is
/// a place of its own; any offset and length can be read; erasing a block leaves the blocks beside it; an erased block can
/// be written again; the two areas share no byte.
///
/// QUECOTA_OK: all hold. QUECOTA_ERROR_AREA or QUECOTA_ERROR_STORAGE: `*fault` says which does not; `fault` may be NULL.
/// QUECOTA_ERROR_PLATFORM: `read`, `write` or `erase` is NULL. Not while a device uses the storage.
///
/// # Safety
/// `storage` is NULL or a table of the size that its first member gives, `fault` likewise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_check_storage(
    storage: *const quecota_storage_t,
    fault: *mut quecota_storage_fault_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        if storage.is_null() {
            return NULL;
        }
        let mut table = quecota_storage_t::absent();
        // SAFETY: the C caller's promise.
        if let Err(error) = unsafe { table.copy_from(storage) } {
            return error.code as quecota_error_t;
        }
        let result = check(&table);
        if !fault.is_null() {
            let none = Fault {
                area: 0,
                offset: 0,
                expected: 0,
                found: 0,
                rule: c_words!(""),
                code: Error::QUECOTA_OK,
            };
            let found = result.err();
            let Fault { area, offset, expected, found: read, rule, .. } = found.unwrap_or(none);
            let rule = if found.is_some() { rule.as_ptr().cast() } else { core::ptr::null() };
            let report = quecota_storage_fault_t { size: 0, area, offset, expected, found: read, rule };
            // SAFETY: the C caller's promise about the struct.
            let handed_out = unsafe { hand_out(fault, report) };
            if handed_out != 0 {
                return handed_out;
            }
        }
        result.err().map_or(0, |fault| fault.code as quecota_error_t)
    })
}

/// A rule that does not hold.
#[derive(Debug, Clone, Copy)]
struct Fault {
    code: Error,
    area: quecota_area_id_t,
    offset: u32,
    expected: u32,
    found: u32,
    rule: &'static str,
}

const IMAGE: quecota_area_id_t = quecota_area_id_values::QUECOTA_AREA_IMAGE as quecota_area_id_t;
const JOURNAL: quecota_area_id_t = quecota_area_id_values::QUECOTA_AREA_JOURNAL as quecota_area_id_t;

fn check(table: &quecota_storage_t) -> Result<(), Fault> {
    let (image, journal) =
        (Flash { table, id: IMAGE, area: table.image }, Flash { table, id: JOURNAL, area: table.journal });
    let sizes = |flash: &Flash<'_>, minimum: u32| {
        let is_valid = flash.area.geometry().check().is_ok() && flash.area.size >= minimum;
        let rule = c_words!("the sizes of the area must be as quecota_area_t says");
        let at = Fault { code: Error::QUECOTA_ERROR_AREA, expected: minimum, ..flash.fault(rule, 0) };
        if is_valid { Ok(()) } else { Err(Fault { found: flash.area.size, ..at }) }
    };
    sizes(&image, 0)?;
    sizes(&journal, 0)?;
    sizes(&journal, Journal::minimum_size(&journal.area.geometry()))?;
    if table.read.is_none() || table.write.is_none() || table.erase.is_none() {
        return Err(Fault {
            code: Error::QUECOTA_ERROR_PLATFORM,
            ..image.fault(c_words!("read, write and erase must not be NULL"), 0)
        });
    }
    journal.check()?;
    image.check()?;
    journal.holds(0, journal.area.size, c_words!("the areas image and journal must share no byte"))?;
    image.erase(0, image.area.size)?;
    journal.erase(0, journal.area.size)
}

/// Bytes that are read, or written, at once.
const CHUNK: usize = 64;
/// Largest program size.
const UNIT: usize = 256;

/// An area, through its table.
struct Flash<'a> {
    table: &'a quecota_storage_t,
    id: quecota_area_id_t,
    area: quecota_area_t,
}

impl Flash<'_> {
    /// Leaves the pattern in the whole area.
    fn check(&self) -> Result<(), Fault> {
        let quecota_area_t { size, erase, program, .. } = self.area;
        self.erase(0, size)?;
        self.is_erased(0, size, c_words!("erase must leave every byte as `erased` says"))?;

        // Unit by unit, to see what a write does beside itself.
        let beside =
            c_words!("write must leave the bytes beside it as they are: is `program` the true size?");
        let second = program.saturating_mul(2).min(erase);
        self.write(0, program)?;
        self.holds(0, program, c_words!("write must store what it is given: is `program` the true size?"))?;
        self.is_erased(program, erase, beside)?;
        if second > program {
            self.write(program, second)?;
            self.holds(0, second, beside)?;
            self.is_erased(second, erase, beside)?;
        }
        self.write(second, size)?;
        self.sync()?;
        self.holds(
            0,
            size,
            c_words!("each byte of the area must be a place of its own: is `size` the true size?"),
        )?;
        self.reads_anywhere()?;

        // The block in the middle, or the only one.
        let blocks = size.checked_div(erase).unwrap_or(1);
        let block = (blocks >> 1).saturating_mul(erase);
        let behind = block.saturating_add(erase);
        self.erase(block, behind)?;
        self.is_erased(block, behind, c_words!("erase must leave every byte as `erased` says"))?;
        let others = c_words!("erase must leave the blocks beside it as they are: is `erase` the true size?");
        self.holds(0, block, others)?;
        self.holds(behind, size, others)?;
        self.write(block, behind)?;
        self.sync()?;
        self.holds(0, size, c_words!("a block that was erased again must take what is written"))
    }

    /// What the check writes: at each offset another byte than a wrong address, or the other area, would give.
    fn pattern(&self, offset: u32) -> u8 {
        let place = offset.wrapping_add((self.id as u32) << 30);
        (place.wrapping_add(1).wrapping_mul(0x9E37_79B1) >> 24) as u8
    }

    fn fault(&self, rule: &'static str, offset: u32) -> Fault {
        let code = Error::QUECOTA_ERROR_STORAGE;
        Fault { code, area: self.id, offset, expected: 0, found: 0, rule }
    }

    /// What a function of the table returned.
    fn ok(
        &self,
        result: Option<quecota_storage_result_t>,
        rule: &'static str,
        offset: u32,
    ) -> Result<(), Fault> {
        match result {
            Some(0) => Ok(()),
            other => Err(Fault { found: other.unwrap_or(-1) as u32, ..self.fault(rule, offset) }),
        }
    }

    fn erase(&self, from: u32, to: u32) -> Result<(), Fault> {
        let ctx = self.table.ctx;
        // SAFETY: the table's function with its ctx.
        let result =
            self.table.erase.map(|erase| unsafe { erase(ctx, self.id, from, to.saturating_sub(from)) });
        self.ok(result, c_words!("erase must succeed for blocks inside the area"), from)
    }

    fn sync(&self) -> Result<(), Fault> {
        // SAFETY: the table's function with its ctx.
        let result = self.table.sync.map(|sync| unsafe { sync(self.table.ctx, self.id) });
        self.ok(result.or(Some(0)), c_words!("sync must succeed"), 0)
    }

    fn read(&self, offset: u32, data: &mut [u8]) -> Result<(), Fault> {
        let (ctx, length) = (self.table.ctx, u32::try_from(data.len()).unwrap_or(0));
        // SAFETY: the table's function with its ctx; the buffer lives through the call.
        let result =
            self.table.read.map(|read| unsafe { read(ctx, self.id, offset, data.as_mut_ptr(), length) });
        self.ok(result, c_words!("read must succeed for any bytes inside the area"), offset)
    }

    /// Writes the pattern, in units or in whole multiples of them.
    fn write(&self, from: u32, to: u32) -> Result<(), Fault> {
        let mut unit = [0; UNIT];
        // Both are powers of two, so it is a multiple of `program` and divides every block that is as large.
        let step = (UNIT as u32).min(self.area.erase);
        let mut offset = from;
        while offset < to {
            // To the next border of a step, so that each write stays inside a block.
            let border = (offset | step.wrapping_sub(1)).saturating_add(1);
            let length = border.min(to).saturating_sub(offset);
            let mut at = offset;
            for byte in &mut unit {
                *byte = self.pattern(at);
                at = at.wrapping_add(1);
            }
            let ctx = self.table.ctx;
            // SAFETY: the table's function with its ctx; the buffer has `length` bytes and lives through the call.
            let result =
                self.table.write.map(|write| unsafe { write(ctx, self.id, offset, unit.as_ptr(), length) });
            self.ok(result, c_words!("write must succeed for units inside the area"), offset)?;
            offset = offset.saturating_add(length.max(1));
        }
        Ok(())
    }

    fn is_erased(&self, from: u32, to: u32, rule: &'static str) -> Result<(), Fault> {
        self.compare(from, to, |_| self.area.erased, rule)
    }

    fn holds(&self, from: u32, to: u32, rule: &'static str) -> Result<(), Fault> {
        self.compare(from, to, |at| self.pattern(at), rule)
    }

    fn compare(
        &self,
        from: u32,
        to: u32,
        expected: impl Fn(u32) -> u8,
        rule: &'static str,
    ) -> Result<(), Fault> {
        let mut buffer = [0; CHUNK];
        let mut offset = from;
        while offset < to {
            let length = (to.saturating_sub(offset) as usize).min(CHUNK);
            let Some(part) = buffer.get_mut(..length) else { break };
            // Not what is expected, should the port leave the buffer as it is.
            for (at, byte) in (offset..).zip(part.iter_mut()) {
                *byte = !expected(at);
            }
            self.read(offset, part)?;
            for (at, byte) in (offset..).zip(part.iter()) {
                let expected = expected(at);
                if *byte != expected {
                    let at = self.fault(rule, at);
                    return Err(Fault { expected: expected.into(), found: (*byte).into(), ..at });
                }
            }
            offset = offset.saturating_add(CHUNK as u32);
        }
        Ok(())
    }

    /// Odd offsets and lengths, and across blocks.
    fn reads_anywhere(&self) -> Result<(), Fault> {
        let rule = c_words!("read must give the bytes of any offset and length, not of aligned ones alone");
        let quecota_area_t { size, erase, .. } = self.area;
        for from in [1, 3, erase.saturating_sub(1), size.saturating_sub(7)] {
            self.compare(from, from.saturating_add(3).min(size), |at| self.pattern(at), rule)?;
        }
        Ok(())
    }
}
