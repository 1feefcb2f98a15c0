//! What changes a list: adding, removing, freeing, and what is refused there.

use core::ffi::c_void;
use core::ptr::null_mut;

use quecota_core::limits::TTLV_DEPTH;
use quecota_core::wire::ttlv::{ID_MAX, Number};

use super::{
    Content, List, append, copied, created, find, forget, forget_content, free, locked, nodes, registered,
};

/// How many lists are nested in `list` at the deepest place. Bounded, because [`add`] lets nothing grow deeper.
///
/// # Safety
/// `list` is alive.
unsafe fn height(list: *mut List) -> usize {
    let mut highest = 0;
    // SAFETY: the caller's promise.
    unsafe {
        for node in nodes(list) {
            if let Content::Struct(inner) = (*node).content {
                highest = highest.max(height(inner).saturating_add(1));
            }
        }
    }
    highest
}

/// The outermost list, and how many lists are around `list`.
///
/// # Safety
/// `list` is alive.
unsafe fn outermost(list: *mut List) -> (*mut List, usize) {
    let (mut outer, mut depth) = (list, 0usize);
    // SAFETY: an owner lives as long as what it owns.
    unsafe {
        while !(*outer).owner.is_null() {
            outer = (*outer).owner;
            depth = depth.saturating_add(1);
        }
    }
    (outer, depth)
}

/// Why nothing was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddError {
    /// Neither NULL nor a list that may be changed.
    Handle,
    /// Above 8191.
    Id,
    /// Array elements (id 0) and struct members in one list.
    Mixed,
    /// Not a list of its own: it is another's already, or this very one.
    Inner,
    /// Lists in lists in lists.
    TooDeep,
    Memory,
}

/// What is to be added.
#[derive(Debug, Clone, Copy)]
pub enum New<'a> {
    Bool(bool),
    Int(i64),
    Float(Number),
    Bytes(&'a [u8]),
    Raw(&'a [u8]),
    /// Handle of a list, which the other one owns from then on.
    Struct(*const c_void),
}

/// Adds to the list at `head`, which is made when it is NULL. On failure nothing has changed.
///
/// # Safety
/// `head` may be read and written.
pub unsafe fn add(head: *mut *mut c_void, id: u16, new: New<'_>) -> Result<(), AddError> {
    if id > ID_MAX {
        return Err(AddError::Id);
    }
    locked(|registry| {
        // SAFETY: the caller's promise; `find` gives lists that are alive.
        unsafe {
            let is_new = (*head).is_null();
            let list = if is_new { null_mut() } else { find(registry, *head).ok_or(AddError::Handle)? };
            if !is_new {
                check_list(list, id)?;
            }
            let content = match new {
                New::Bool(value) => Content::Bool(value),
                New::Int(value) => Content::Number(Number::from(value)),
                New::Float(number) => Content::Float(number),
                New::Bytes(bytes) => Content::Bytes(copied(bytes).ok_or(AddError::Memory)?, bytes.len()),
                New::Raw(bytes) => Content::Raw(copied(bytes).ok_or(AddError::Memory)?, bytes.len()),
                New::Struct(inner) => Content::Struct(check_inner(registry, list, inner)?),
            };
            let target = if is_new { created(registry) } else { list };
            if target.is_null() || !append(target, id, content) {
                if is_new {
                    forget(registry, target);
                }
                if !matches!(content, Content::Struct(_)) {
                    forget_content(registry, content);
                }
                return Err(AddError::Memory);
            }
            *head = target.cast();
            Ok(())
        }
    })
    .unwrap_or(Err(AddError::Handle))
}

/// # Safety
/// `list` is alive.
unsafe fn check_list(list: *mut List, id: u16) -> Result<(), AddError> {
    // SAFETY: the caller's promise.
    unsafe {
        if (*outermost(list).0).is_received {
            return Err(AddError::Handle);
        }
        match (*list).first.as_ref() {
            Some(first) if (first.id == 0) != (id == 0) => Err(AddError::Mixed),
            _ => Ok(()),
        }
    }
}

/// The list of `inner`, if it may be added to `list`, which is alive or NULL.
///
/// # Safety
/// `list` is alive or NULL.
unsafe fn check_inner(
    registry: &mut *mut List,
    list: *mut List,
    inner: *const c_void,
) -> Result<*mut List, AddError> {
    let inner = find(registry, inner).ok_or(AddError::Inner)?;
    // SAFETY: both are alive.
    unsafe {
        let (outer, depth) = if list.is_null() { (null_mut(), 0) } else { outermost(list) };
        if !(*inner).owner.is_null() || (*inner).is_received || inner == outer {
            return Err(AddError::Inner);
        }
        if depth.saturating_add(height(inner)).saturating_add(1) > TTLV_DEPTH {
            return Err(AddError::TooDeep);
        }
    }
    Ok(inner)
}

/// Removes every element with this id. A list that has none left ends, and `*head` is NULL then, unless the list is
/// another's.
///
/// # Safety
/// `head` may be read and written.
pub unsafe fn remove(head: *mut *mut c_void, id: u16) {
    locked(|registry| {
        // SAFETY: the caller's promise; `find` gives lists that are alive.
        unsafe {
            let Some(list) = find(registry, *head) else { return };
            if (*outermost(list).0).is_received {
                return;
            }
            let mut link = &raw mut (*list).first;
            (*list).last = null_mut();
            while let Some(node) = (*link).as_mut() {
                if node.id == id {
                    let gone = *link;
                    *link = node.next;
                    forget_content(registry, (*gone).content);
                    free(gone.cast());
                    (*list).count = (*list).count.saturating_sub(1);
                } else {
                    (*list).last = *link;
                    link = &raw mut node.next;
                }
            }
            if (*list).first.is_null() && (*list).owner.is_null() {
                forget(registry, list);
                *head = null_mut();
            }
        }
    });
}

/// Frees the list at `head` and writes NULL there. A list that belongs to another, or lives for an event callback, is
/// only forgotten by the caller.
///
/// # Safety
/// `head` may be read and written.
pub unsafe fn release(head: *mut *mut c_void) {
    locked(|registry| {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(list) = registered(*registry, *head)
                && (*list).owner.is_null()
                && !(*list).is_received
            {
                forget(registry, list);
            }
            *head = null_mut();
        }
    });
}
