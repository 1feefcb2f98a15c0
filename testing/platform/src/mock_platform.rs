//! A scripted platform around the real agent: it notes what the agent asks for, and answers only when it is told to.

use std::collections::VecDeque;

use quecota_core::platform::{
    Applied, Area, Connect, FetchUrl, Geometry, Level, Qos, Range, Refused, SendId, StagedFile, Storage,
    StorageError, System, Takes, Transport,
};

use crate::flash::SimFlash;

/// What the agent asked the transport or the system for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To connect.
    Connect {
        /// Where.
        url: String,
        /// As whom.
        client_id: String,
        /// MQTT user name.
        user_name: String,
        /// MQTT password.
        password: String,
        /// Seconds.
        keep_alive: u16,
    },
    /// To close the connection.
    Disconnect,
    /// To subscribe.
    Subscribe(String),
    /// To publish.
    Publish {
        /// Where.
        topic: String,
        /// The frame as it was sent.
        payload: Vec<u8>,
        /// How.
        qos: Qos,
        /// For the answer.
        id: SendId,
    },
    /// To fetch.
    Fetch {
        /// From where.
        url: String,
        /// Which bytes.
        range: Range,
    },
    /// To give the fetch up.
    FetchCancel,
    /// To take module firmware over.
    Apply(u32),
    /// To take a module package over.
    ApplyFiles(Vec<StagedFile>),
}

/// The platform.
#[derive(Debug)]
pub struct MockPlatform {
    /// The clock, milliseconds; tests move it.
    pub now: u32,
    /// Image and journal.
    pub flash: SimFlash,
    /// What was asked for and not looked at yet, oldest first.
    pub asked: VecDeque<Asked>,
    /// Log lines.
    pub lines: Vec<(Level, String)>,
    /// What `free_space` says.
    pub free_space: Option<u32>,
    /// What `module_space` says; `None`: the same.
    pub module_space: Option<u32>,
    /// Erases and writes of the image area that end beyond this byte find no room.
    pub full_at: Option<u32>,
    /// Bytes of the image area when it is smaller than its flash.
    pub image_size: Option<u32>,
    /// How often the image was discarded.
    pub discards: u32,
    /// What `apply` answers.
    pub applied: Applied,
    /// What it can take over.
    pub takes: Takes,
    /// The module's firmware version.
    pub module_version: String,
    /// Whether the transport refuses what it is asked for.
    pub refuses: Vec<Refuses>,
    /// Where its randomness is; another start gives another device.
    pub random: u64,
}

/// What the transport refuses to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuses {
    /// Connecting.
    Connect,
    /// Publishing.
    Publish,
    /// Fetching.
    Fetch,
}

/// The shape of an area with 4 KB blocks and 4-byte units.
pub const fn area(size: u32) -> Geometry {
    Geometry { size, erase: 4096, program: 4, erased: 0xFF }
}

impl MockPlatform {
    /// With an image area of `image` bytes (a multiple of 4096) and a journal of 16 KB.
    pub fn new(image: u32) -> Self {
        Self::with_flash(SimFlash::new(area(image), area(16 * 1024)))
    }

    /// With flash that may hold something already.
    pub fn with_flash(flash: SimFlash) -> Self {
        MockPlatform {
            now: 1_000,
            flash,
            asked: VecDeque::new(),
            lines: Vec::new(),
            free_space: None,
            module_space: None,
            full_at: None,
            image_size: None,
            discards: 0,
            applied: Applied::Within(60_000),
            takes: Takes::Packages,
            module_version: "FWV1".into(),
            refuses: Vec::new(),
            random: 7,
        }
    }

    fn has_room(&self, area: Area, offset: u32, length: usize) -> Result<(), StorageError> {
        let is_full = self.full_at.is_some_and(|full_at| offset as usize + length > full_at as usize);
        if area == Area::Image && is_full { Err(StorageError::Full) } else { Ok(()) }
    }

    fn refused(&self, what: Refuses) -> Result<(), Refused> {
        if self.refuses.contains(&what) { Err(Refused) } else { Ok(()) }
    }
}

impl Transport for MockPlatform {
    fn connect(&mut self, to: &Connect<'_>) -> Result<(), Refused> {
        self.refused(Refuses::Connect)?;
        self.asked.push_back(Asked::Connect {
            url: to.url.into(),
            client_id: to.client_id.into(),
            user_name: to.user_name.into(),
            password: to.password.into(),
            keep_alive: to.keep_alive,
        });
        Ok(())
    }

    fn disconnect(&mut self) {
        self.asked.push_back(Asked::Disconnect);
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        self.asked.push_back(Asked::Subscribe(filter.into()));
        Ok(())
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos, id: SendId) -> Result<(), Refused> {
        self.refused(Refuses::Publish)?;
        self.asked.push_back(Asked::Publish { topic: topic.into(), payload: payload.into(), qos, id });
        Ok(())
    }

    fn fetch(&mut self, url: FetchUrl<'_>, range: Range) -> Result<(), Refused> {
        self.refused(Refuses::Fetch)?;
        self.asked.push_back(Asked::Fetch { url: url.as_str().into(), range });
        Ok(())
    }

    fn fetch_cancel(&mut self) {
        self.asked.push_back(Asked::FetchCancel);
    }
}

impl Storage for MockPlatform {
    fn geometry(&self, area: Area) -> Geometry {
        let whole = self.flash.geometry(area);
        match self.image_size {
            Some(size) if area == Area::Image => Geometry { size, ..whole },
            _ => whole,
        }
    }

    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.flash.read(area, offset, buffer)
    }

    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        self.has_room(area, offset, data.len())?;
        self.flash.write(area, offset, data)
    }

    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        self.has_room(area, offset, length as usize)?;
        self.flash.erase(area, offset, length)
    }

    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        self.flash.sync(area)
    }

    fn discard(&mut self, area: Area) {
        assert_eq!(area, Area::Image, "the journal is always needed");
        self.discards += 1;
    }
}

impl System for MockPlatform {
    fn millis(&mut self) -> u32 {
        self.now
    }

    fn random(&mut self, out: &mut [u8]) {
        for byte in out {
            self.random =
                self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.random >> 56) as u8;
        }
    }

    fn log(&mut self, level: Level, line: &str) {
        self.lines.push((level, line.into()));
    }

    fn battery(&mut self) -> Option<u8> {
        Some(80)
    }

    fn voltage(&mut self) -> Option<u16> {
        Some(3700)
    }

    fn signal(&mut self) -> Option<i16> {
        Some(-71)
    }

    fn rsrp(&mut self) -> Option<i16> {
        Some(-95)
    }

    fn free_space(&mut self) -> Option<u32> {
        self.free_space
    }

    fn module_space(&mut self) -> Option<u32> {
        self.module_space.or(self.free_space)
    }

    fn device_key(&mut self) -> &str {
        "860000000000001"
    }

    fn module_model(&mut self) -> &str {
        "EC200U"
    }

    fn module_version(&mut self) -> &str {
        &self.module_version
    }

    fn apply(&mut self, size: u32) -> Applied {
        self.asked.push_back(Asked::Apply(size));
        self.applied
    }

    fn takes(&mut self) -> Takes {
        self.takes
    }

    fn apply_files(&mut self, files: &[StagedFile]) -> Applied {
        self.asked.push_back(Asked::ApplyFiles(files.to_vec()));
        self.applied
    }
}
