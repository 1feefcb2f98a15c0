//! `POST /products/{pk}/packages`: a form with the package's fields and its files, which stream to the object store as they come.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, State};
use axum::http::StatusCode;
use serde_json::json;
use tokio::sync::OwnedMutexGuard;
use tracing::{info, warn};

use super::Detailed;
use super::limits::Allowance;
use crate::api::Api;
use crate::api::answer::Created;
use crate::api::error::ApiError;
use crate::api::extract::{Named, Upload};
use crate::api::openapi::operation::{Describer, Input};
use crate::packages::format;
use crate::packages::object_store::{Objects, Staged};
use crate::rules::names::version_break;
use crate::rules::{ComponentKind, ComponentNo, FileName, ProductKey, Remark, Title, Version};
use crate::store::{NewPackage, Package, PackageFile, PackageKind, Writer};

/// A sender that gives no byte for this long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Most bytes of a field that is no file: a remark of 200 characters, and enough to say what is wrong with a longer one.
const FIELD_MAX: usize = 16 * 1024;
/// The form's fields beside its files.
const FIELDS: &str = "component, name, target, source, remark and the files, each as `file`";

impl Input for Upload {
    fn describe(describer: &mut Describer) {
        let file = json!({ "type": "string", "format": "binary", "minLength": 1, "description": "A file's content." });
        let fields = json!({
            "type": "object",
            "required": ["component", "name", "target", "file"],
            "additionalProperties": false,
            "properties": {
                "component": describer.form_field::<ComponentNo>(),
                "name": describer.form_field::<Title>(),
                "target": describer.form_field::<Version>(),
                "source": describer.form_field_or_empty::<Version>(),
                "remark": describer.form_field::<Remark>(),
                "file": { "type": "array", "items": file, "minItems": 1, "maxItems": format::FILES_MAX },
            },
        });
        describer.body("multipart/form-data", true, fields);
        // By the end of its name a file is known as firmware.
        describer.file_name("file", "firmware.bin");
    }
}

/// The form as it comes in. Dropped before its end, the files leave nothing behind.
#[derive(Default)]
struct Form {
    component: Option<ComponentNo>,
    name: Option<Title>,
    target: Option<Version>,
    source: Option<Version>,
    remark: Option<Remark>,
    files: Vec<(FileName, Staged)>,
}

/// Adds a version package. Until its answer is sent, nothing of it can be seen; after an error, nothing is left.
pub async fn upload(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    Upload(request): Upload,
) -> Result<Created<Detailed>, ApiError> {
    api.engine.store().read().await?.product(&product).await?;
    let form = Multipart::from_request(request, &()).await?;
    let package = add(&api, product, Vec::new(), form).await?;
    let mut store = api.engine.store().read().await?;
    Ok(Created(Detailed::of(&mut store, package).await?))
}

/// Adds the version package that a form brings; its fields before the files may have been `read` already.
pub(crate) async fn add(
    api: &Api,
    product: ProductKey,
    read: Vec<(String, String)>,
    rest: Multipart,
) -> Result<Package, ApiError> {
    let mut allowance = api.allowance(&product).await?;
    let form = Form::receive(read, rest, &api.objects, &mut allowance).await?;
    let (new, staged) = form.package(product)?;
    let mut store = api.engine.store().read().await?;
    let component =
        store.component(&new.product, &new.component).await.map_err(ApiError::naming_the_missing)?;
    drop(store);
    if component.kind == ComponentKind::Mcu {
        format::check_mcu_file_count(staged.len())?;
    }
    let package = api.keep(new, staged).await?;
    info!(package = package.id.0, product = %package.content.product, target = %package.content.target, "package added");
    Ok(package)
}

/// See [`Api::lock_naming`].
pub(super) struct Naming {
    _own: OwnedMutexGuard<()>,
    _all: Option<Writer>,
}

/// Contents that are looked at while the naming is held.
const GARBAGE: usize = 50;

impl Api {
    /// Names the files' contents and writes the package's row, or neither.
    async fn keep(&self, new: NewPackage, staged: Vec<Staged>) -> Result<Package, ApiError> {
        let _naming = self.lock_naming().await?;
        let mut named = Vec::new();
        let kept = self.keep_all(&new, staged, &mut named).await;
        if kept.is_err() {
            self.forget_unused(named).await;
        }
        kept
    }

    /// Held while contents get their names, or go: by one task of one center.
    pub(super) async fn lock_naming(&self) -> Result<Naming, ApiError> {
        let own = Arc::clone(&self.naming).lock_owned().await;
        Ok(Naming { _own: own, _all: self.engine.store().lock_naming().await? })
    }

    /// Removes contents that were not written for `age` and that no package has: a center ended between naming them and
    /// writing their package down.
    pub async fn collect_garbage(&self, age: Duration) -> Result<(), ApiError> {
        let old = self.objects.older_than(age).await?;
        // A few at a time: uploads wait meanwhile.
        for contents in old.chunks(GARBAGE) {
            let _naming = self.lock_naming().await?;
            self.forget_unused(contents.iter().cloned()).await;
        }
        Ok(())
    }

    /// Removes contents that no package has (any more); the caller holds the naming.
    pub(super) async fn forget_unused(&self, contents: impl IntoIterator<Item = ([u8; 32], String)>) {
        for (sha256, object) in contents {
            // Another package may have the same content. If the database cannot tell, the content stays: it
            // is whole, and the next upload of it uses it.
            let used = match self.engine.store().read().await {
                Ok(mut store) => store.is_object_used(&object).await.unwrap_or(true),
                Err(_) => true,
            };
            if !used && let Err(error) = self.objects.remove(&sha256).await {
                warn!(%error, %object, "a content without a package stays");
            }
        }
    }

    async fn keep_all(
        &self,
        new: &NewPackage,
        staged: Vec<Staged>,
        named: &mut Vec<([u8; 32], String)>,
    ) -> Result<Package, ApiError> {
        for (file, staged) in new.files.iter().zip(staged) {
            named.push((file.digests.sha256, file.object.clone()));
            self.objects.keep(staged).await?;
        }
        self.engine.create_package(new.clone()).await.map_err(ApiError::naming_the_missing)
    }
}

impl Form {
    async fn receive(
        read: Vec<(String, String)>,
        mut form: Multipart,
        objects: &Objects,
        allowance: &mut Allowance<'_>,
    ) -> Result<Self, ApiError> {
        let mut received = Self::default();
        for (name, value) in read {
            received.take_field(&name, value)?;
        }
        while let Some(field) = in_time(form.next_field()).await?? {
            let name = field.name().unwrap_or_default().to_owned();
            if field.file_name().is_some() || name == "file" {
                received.take_file(field, objects, allowance).await?;
            } else {
                let value = text(&name, field).await?;
                received.take_field(&name, value)?;
            }
        }
        Ok(received)
    }

    fn take_field(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        /// Takes a value once.
        fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), ApiError> {
            match slot.replace(value) {
                None => Ok(()),
                Some(_) => Err(ApiError::invalid("repeated", name, "", "a field may be given once")),
            }
        }
        if ["component", "name", "target", "source"].contains(&name) {
            ApiError::check_seen(name, &value)?;
        }
        if ["target", "source"].contains(&name)
            && let Some(c) = version_break(&value)
        {
            let rule = format!("it has {c:?} in it; devices end a version at , : ; and \"");
            return Err(ApiError::invalid("invalid", name, &value, rule));
        }
        match name {
            "component" => once(&mut self.component, name, ComponentNo::new(value)?),
            "name" => once(&mut self.name, name, Title::new(value)?),
            "target" => once(&mut self.target, name, Version::new(value)?),
            // A form on a page sends an empty field for "none".
            "source" if value.is_empty() => Ok(()),
            "source" => once(&mut self.source, name, Version::new(value)?),
            "remark" => once(&mut self.remark, name, Remark::new(value)?),
            _ => Err(ApiError::invalid("unknown_field", "field", name, format!("the fields are {FIELDS}"))),
        }
    }

    async fn take_file(
        &mut self,
        mut field: Field<'_>,
        objects: &Objects,
        allowance: &mut Allowance<'_>,
    ) -> Result<(), ApiError> {
        format::check_file_count(self.files.len() + 1)?;
        let name = FileName::new(field.file_name().unwrap_or_default())?;
        let mut incoming = objects.receive().await?;
        while let Some(bytes) = in_time(field.chunk()).await?? {
            format::check_not_too_large(name.as_str(), incoming.size() + bytes.len() as u64)?;
            allowance.take(bytes.len())?;
            incoming.write(&bytes).await?;
        }
        format::check_not_empty(name.as_str(), incoming.size())?;
        self.files.push((name, incoming.finish().await?));
        Ok(())
    }

    /// The package that the whole form describes, with the files that are still without a name.
    fn package(self, product: ProductKey) -> Result<(NewPackage, Vec<Staged>), ApiError> {
        let missing =
            |field: &'static str| move || ApiError::invalid("missing", field, "", "it must be given");
        format::check_file_count(self.files.len())?;
        let target = self.target.ok_or_else(missing("target"))?;
        let kind = match self.source {
            Some(source) if source == target => {
                let rule =
                    "a delta package leads from one version to another; this is its target version too";
                return Err(ApiError::invalid("same_version", "source", source.as_str(), rule));
            }
            Some(source) => PackageKind::Delta { source },
            None => PackageKind::Full,
        };
        let (mut files, mut staged) = (Vec::new(), Vec::new());
        for (name, file) in self.files {
            files.push(PackageFile { name, size: file.size, digests: file.digests, object: file.object() });
            staged.push(file);
        }
        let new = NewPackage {
            product,
            component: self.component.ok_or_else(missing("component"))?,
            name: self.name.ok_or_else(missing("name"))?,
            kind,
            target,
            remark: self.remark.map_or_else(|| Remark::new(""), Ok)?,
            files,
        };
        Ok((new, staged))
    }
}

/// The text of a field that is no file.
pub(crate) async fn text(name: &str, mut field: Field<'_>) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(more) = in_time(field.chunk()).await?? {
        bytes.extend_from_slice(&more);
        if bytes.len() > FIELD_MAX {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let rule = format!("a field that is no file has at most {FIELD_MAX} bytes");
            return Err(ApiError::invalid("field_too_long", name, &shown, rule));
        }
    }
    if bytes.contains(&0) {
        return Err(ApiError::invalid("text", name, "", "a text has no NUL character (U+0000) in it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
        ApiError::invalid("text", name, &shown, "a field must be UTF-8 text")
    })
}

async fn in_time<F: Future>(wait: F) -> Result<F::Output, ApiError> {
    tokio::time::timeout(SILENCE, wait).await.map_err(|_| {
        let message = format!("no byte came for {} s; nothing of this upload was kept", SILENCE.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })
}
