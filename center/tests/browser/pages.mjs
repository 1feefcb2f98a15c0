// Every page of the console, as the fleet of fleet.mjs fills it, and the views that each is looked at in.

import { PRODUCT } from "./fleet.mjs";

export const PAGES = [
  "/", "/password", "/accounts", "/webhooks", "/webhooks/1", "/audit", "/settings", "/products", "/products/new", `/products/${PRODUCT}`, "/devices", "/devices?product=p2weather", "/devices?key=none",
  `/products/${PRODUCT}/devices/861200000000000`, `/products/${PRODUCT}/devices/861200000000000/delete`, "/products/p2weather/devices/wx-berlin-rooftop-00000000000001",
  "/packages", "/packages/new", "/packages/1", "/packages/4", "/plans", "/plans/new", `/plans/new?product=${PRODUCT}&package=1`,
  "/plans/1", "/plans/1?state=upgrade_failed", "/plans/1/terminate", "/plans/1/clone", "/plans/1/devices/861200000000000",
  "/plans/2", "/plans/2/edit", "/plans/2/activate", "/plans/3", "/verifications", "/verifications/1", "/nothing-here",
];

const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 360, height: 740 };
export const VIEWS = [
  { locale: "en-US", colorScheme: "light", viewport: WIDE },
  { locale: "zh-CN", colorScheme: "dark", viewport: WIDE },
  { locale: "en-US", colorScheme: "light", viewport: NARROW },
  { locale: "zh-CN", colorScheme: "dark", viewport: NARROW },
];
