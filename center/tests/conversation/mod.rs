//! A center and its devices, packet by packet, over SQLite in memory and a clock that the test moves.
#![allow(dead_code)] // each test file uses its own part

use std::sync::Arc;

use quecota_center::clock::{Clock, Millis};
use quecota_center::devices::codec;
use quecota_center::engine::{Downlink, Engine, EngineError, Firmware, FirmwareUrls, SessionId};
use quecota_center::rules::plan::{PlanComponent, PlanSettings, PlanState, Supersede};
use quecota_center::rules::*;
use quecota_center::store::*;
use quecota_core::wire::frame::{Command, Frame, PacketId};
use quecota_core::wire::message::{
    self, OtaStatus, PlanRequest, Signature, StatusEvent, StatusExtension, Versions,
};
use quecota_core::wire::ttlv::Writer as Ttlv;

/// 2026-03-01 10:03:20 UTC: between two 10-minute marks.
pub const NOON: Millis = Millis(1_772_359_400_000);

pub struct Urls;

impl FirmwareUrls for Urls {
    fn firmware_url(&self, firmware: &Firmware<'_>) -> String {
        let Firmware { upgrade, component, file_index, .. } = firmware;
        format!("http://center.example:8080/f/{}/{component}/{file_index}", upgrade.0)
    }
}

/// A center with product `p1abcd`: MCU components `STM32` and `SENSOR`, module component `app`.
pub struct Center {
    pub engine: Engine,
    pub clock: Clock,
}

impl Center {
    pub async fn new() -> Center {
        Self::over(Store::in_memory().await.unwrap()).await
    }

    /// The same over a database that the test can get at.
    pub async fn over(store: Store) -> Center {
        let mut writer = store.write().await.unwrap();
        let secret = ProductSecret::new("MTIzNDU2Nzg5MGFi").unwrap();
        let title = Title::new("meters").unwrap();
        writer.create_product(&pk(), &secret, &title, Admission::Anyone, NOON).await.unwrap();
        for (component, kind) in
            [("STM32", ComponentKind::Mcu), ("SENSOR", ComponentKind::Mcu), ("app", ComponentKind::Module)]
        {
            writer.create_component(&pk(), &no(component), kind, NOON).await.unwrap();
        }
        writer.commit().await.unwrap();
        let clock = Clock::manual(NOON);
        Center { engine: Engine::new(store, clock.clone(), Arc::new(Urls)), clock }
    }

    /// The same center after its process was killed and started again.
    pub async fn restarted(self) -> Center {
        let engine = Engine::new(self.engine.store().clone(), self.clock.clone(), Arc::new(Urls));
        engine.start().await.unwrap();
        engine.end_earlier_sessions().await.unwrap();
        Center { engine, clock: self.clock }
    }

    pub async fn package(&self, component: &str, target: &str, files: usize) -> PackageId {
        self.package_of(component, PackageKind::Full, target, files).await
    }

    pub async fn delta(&self, component: &str, source: &str, target: &str) -> PackageId {
        let source = Version::new(source).unwrap();
        self.package_of(component, PackageKind::Delta { source }, target, 1).await
    }

    async fn package_of(&self, component: &str, kind: PackageKind, target: &str, files: usize) -> PackageId {
        let mut writer = self.engine.store().write().await.unwrap();
        let package = NewPackage {
            product: pk(),
            component: no(component),
            name: Title::new("spring").unwrap(),
            kind,
            target: Version::new(target).unwrap(),
            remark: Remark::new("").unwrap(),
            files: (0..files)
                .map(|index| PackageFile {
                    name: FileName::new(format!("{index}.bin")).unwrap(),
                    size: 1_000_000,
                    digests: Digests { md5: [7; 16], crc32: 0x1234_5678, sha256: [9; 32] },
                    object: "object".into(),
                })
                .collect(),
        };
        let id = writer.create_package(package, NOON).await.unwrap().id;
        writer.commit().await.unwrap();
        id
    }

    /// A saved plan that brings version `2` to each component.
    pub async fn saved(&self, name: &str, components: &[&str], change: impl Fn(&mut PlanSettings)) -> PlanId {
        let mut selected = Vec::new();
        for component in components {
            let package = self.package(component, "2", 1).await.0;
            selected.push(PlanComponent { component: no(component), package });
        }
        let zone = "Europe/Berlin".parse().unwrap();
        let mut settings = PlanSettings::new(Title::new(name).unwrap(), pk(), zone, selected);
        change(&mut settings);
        self.engine.create_plan(&settings, &[], &[]).await.unwrap().id
    }

    pub async fn plan(&self, components: &[&str], change: impl Fn(&mut PlanSettings)) -> PlanId {
        let id = self.saved("plan", components, change).await;
        self.engine.activate(id, Supersede::Refuse).await.unwrap();
        id
    }

    pub async fn device(&self, key: &str) -> Device {
        let mut writer = self.engine.store().write().await.unwrap();
        let secret = DeviceSecret::new("0123456789abcdef").unwrap();
        let key = DeviceKey::new(key).unwrap();
        let device = writer.enter_device(&pk(), &key, &secret, NOON).await.unwrap();
        writer.commit().await.unwrap();
        device
    }

    /// The device `d1`, connected, before its first packet.
    pub async fn connected(&self) -> TestDevice<'_> {
        self.test_device("d1").await
    }

    /// Another device, connected, before its first packet.
    pub async fn test_device(&self, key: &str) -> TestDevice<'_> {
        let device = self.device(key).await.id;
        let mut test_device = TestDevice { center: self, device, packet: PacketId::FIRST, session: None };
        test_device.connect().await;
        test_device
    }

    pub async fn plan_state(&self, id: PlanId) -> PlanState {
        self.engine.store().read().await.unwrap().plan(id).await.unwrap().state
    }

    pub async fn upgrade(&self, plan: PlanId) -> Upgrade {
        let device = self.device("d1").await.id;
        self.engine.store().read().await.unwrap().find_upgrade(plan, device).await.unwrap().unwrap()
    }

    /// The log of the device's upgrade as `kind component times`.
    pub async fn log(&self, plan: PlanId) -> Vec<LogEntry> {
        let id = self.upgrade(plan).await.id;
        self.engine.store().read().await.unwrap().upgrade_log(id, 1_000).await.unwrap().rows
    }

    pub async fn tick(&self) -> Vec<(DeviceId, Downlink)> {
        let ticked = self.engine.tick().await.unwrap();
        assert_eq!(ticked.failed, 0);
        ticked.messages
    }

    /// Ticks once a minute for `minutes`, and gives everything that was to be sent.
    pub async fn minutes(&self, minutes: i64) -> Vec<(DeviceId, Downlink)> {
        let mut messages = Vec::new();
        for _ in 0..minutes {
            self.clock.advance(Millis::minutes(1));
            messages.extend(self.tick().await);
        }
        messages
    }
}

/// The device's side of the conversation.
pub struct TestDevice<'c> {
    pub center: &'c Center,
    pub device: DeviceId,
    pub packet: PacketId,
    pub session: Option<SessionId>,
}

impl TestDevice<'_> {
    pub async fn connect(&mut self) {
        self.packet = PacketId::FIRST;
        let connected = self.center.engine.online(self.device).await.unwrap();
        assert_eq!(connected.messages, []);
        self.session = Some(connected.session);
    }

    pub async fn disconnect(&mut self) {
        self.center.engine.offline(self.device, &self.session.take().unwrap()).await.unwrap();
    }

    pub async fn try_send(
        &mut self,
        command: Command,
        payload: &[u8],
    ) -> std::result::Result<Vec<Downlink>, EngineError> {
        let packet = codec::decode(&Frame { packet: self.packet, command, payload }).unwrap();
        self.packet = self.packet.next();
        self.center.engine.received(self.device, packet).await
    }

    pub async fn send(&mut self, command: Command, payload: &[u8]) -> Vec<Downlink> {
        self.try_send(command, payload).await.unwrap()
    }

    /// 0x0044 with the module version and the MCU list.
    pub async fn report(&mut self, module: &str, mcu: &str) -> Vec<Downlink> {
        self.info(Command::INFO_REPORT, module, mcu).await
    }

    pub async fn info(&mut self, command: Command, module: &str, mcu: &str) -> Vec<Downlink> {
        let mut out = [0; 512];
        let length = Ttlv::new(&mut out).text(2, module).text(3, mcu).text(11, "2.9.0").finish().unwrap();
        self.send(command, &out[..length]).await
    }

    /// 0x0115.
    pub async fn request(&mut self, mcu: &str) -> Vec<Downlink> {
        let request = PlanRequest { versions: Versions { module: "FW1", mcu } };
        let mut out = [0; 512];
        let length = request.emit(&mut out).unwrap();
        self.send(Command::PLAN_REQUEST, &out[..length]).await
    }

    /// 0x0114.
    pub async fn status(&mut self, status: OtaStatus) -> Vec<Downlink> {
        self.status_of("STM32", status, Versions::default()).await
    }

    pub async fn status_of(
        &mut self,
        component: &str,
        status: OtaStatus,
        versions: Versions<'_>,
    ) -> Vec<Downlink> {
        let payload = status_payload(component, status, None, versions);
        self.send(Command::STATUS_EVENT, &payload).await
    }

    /// Statuses after which the device hears nothing.
    pub async fn quiet(&mut self, statuses: &[OtaStatus]) {
        for status in statuses {
            assert_eq!(self.status(*status).await, [], "{status:?}");
        }
    }

    /// From the confirmation to the report of version 2.
    pub async fn succeeds(&mut self) {
        firmware(&self.status(OtaStatus::Confirmed).await);
        let versions = Versions { module: "FW1", mcu: "STM32:2" };
        assert_eq!(self.status_of("STM32", OtaStatus::UpdateSuccess, versions).await, []);
    }

    /// From the confirmation to the report that it failed.
    pub async fn fails(&mut self) {
        firmware(&self.status(OtaStatus::Confirmed).await);
        let versions = Versions { module: "FW1", mcu: "STM32:1" };
        assert_eq!(self.status_of("STM32", OtaStatus::UpdateError, versions).await, []);
    }
}

pub fn status_payload(
    component: &str,
    status: OtaStatus,
    signature: Option<Signature>,
    versions: Versions<'_>,
) -> Vec<u8> {
    let kind = if component == "app" { message::ComponentKind::Module } else { message::ComponentKind::Mcu };
    let event =
        StatusEvent { status, kind, component, signature, versions, extension: StatusExtension::default() };
    let mut out = vec![0; 512];
    let length = event.emit(&mut out).unwrap();
    out.truncate(length);
    out
}

pub fn pk() -> ProductKey {
    ProductKey::new("p1abcd").unwrap()
}

pub fn no(text: &str) -> ComponentNo {
    ComponentNo::new(text).unwrap()
}

/// The components that the one message offers, with their target versions.
#[track_caller]
pub fn offered(messages: &[Downlink]) -> Vec<(String, String)> {
    let [Downlink::Offer(components)] = messages else { panic!("one offer expected: {messages:?}") };
    components.iter().map(|offered| (offered.component.to_string(), offered.target.to_string())).collect()
}

#[track_caller]
pub fn assert_offers(messages: &[Downlink], components: &[&str]) {
    let expected: Vec<_> = components.iter().map(|component| ((*component).into(), "2".into())).collect();
    assert_eq!(offered(messages), expected);
}

/// The component and URL that the one message sends.
#[track_caller]
pub fn firmware(messages: &[Downlink]) -> (String, String) {
    let [Downlink::Firmware(info)] = messages else { panic!("one firmware expected: {messages:?}") };
    let [file] = info.files.as_slice() else { panic!("one file expected: {info:?}") };
    assert_eq!((file.size, file.digests.md5, file.digests.crc32), (1_000_000, [7; 16], 0x1234_5678));
    (info.component.to_string(), file.url.clone())
}
