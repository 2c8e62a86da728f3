/** The values of `--device`, `--device-cgroup-rule`, the block device limits and `--gpus`. Pure. */
import { posix } from "node:path";
import { refuse } from "../cli/values.ts";
import { cut, parseCsv } from "./csv.ts";
import { parseDecimal, parseNatural, parseRamSize } from "./numbers.ts";

export interface DeviceMapping {
  PathOnHost: string;
  PathInContainer: string;
  CgroupPermissions: string;
}

/** `VENDOR/CLASS=NAME` of the Container Device Interface. */
export function isCdiName(text: string): boolean {
  return /^[a-z](?:[\w.-]*[a-z0-9])?\/[a-z](?:[\w.-]*[a-z0-9])?=[a-z0-9](?:[\w.:-]*[a-z0-9])?$/i.test(text);
}

/** Reads `HOST[:CONTAINER][:PERMISSIONS]`. */
export function parseDevice(option: string, text: string): DeviceMapping {
  const wanted = "PATH[:PATH][:PERMISSIONS] with absolute paths and permissions out of rwm";
  const parts = text.split(":");
  const [host = "", second, third] = parts;
  const short = parts.length === 2 && isPermissions(second!);
  const container = parts.length === 1 || short ? host : second!;
  const permissions = short ? second! : third ?? "rwm";
  const valid = parts.length <= 3 && host !== "" && isPermissions(permissions) && posix.isAbsolute(container);
  if (!valid) throw refuse(option, text, wanted);
  // Docker cleans the one path it validates, and no path of three parts.
  if (parts.length === 3) return mapping(host, container, permissions);
  const clean = cleanPath(container);
  return mapping(parts.length === 1 || short ? clean : host, clean, permissions);
}

function mapping(PathOnHost: string, PathInContainer: string, CgroupPermissions: string): DeviceMapping {
  return { PathOnHost, PathInContainer, CgroupPermissions };
}

function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

function isPermissions(text: string): boolean {
  return /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
}

export function parseDeviceRule(option: string, text: string): string {
  if (!/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(text)) {
    throw refuse(option, text, "'TYPE MAJOR:MINOR PERMISSIONS' such as 'c 1:3 mr'");
  }
  return text;
}

/** `DEVICE:SIZE`. */
export function parseRate(option: string, text: string): { Path: string; Rate: number } {
  const { Path, value } = blockDevice(option, text);
  return { Path, Rate: parseRamSize(`${Path} of ${option}`, value) };
}

/** `DEVICE:OPERATIONS`. */
export function parseOperations(option: string, text: string): { Path: string; Rate: number } {
  const { Path, value } = blockDevice(option, text);
  return { Path, Rate: parseNatural(`${Path} of ${option}`, value) };
}

/** `DEVICE:WEIGHT`. */
export function parseWeight(option: string, text: string): { Path: string; Weight: number } {
  const { Path, value } = blockDevice(option, text);
  const Weight = parseNatural(`${Path} of ${option}`, value, { least: 0, most: 1000 });
  if (Weight > 0 && Weight < 10) throw refuse(`${Path} of ${option}`, value, "0, or 10 to 1000");
  return { Path, Weight };
}

function blockDevice(option: string, text: string): { Path: string; value: string } {
  const [Path, value] = cut(text, ":");
  if (value === undefined || !Path.startsWith("/dev/")) throw refuse(option, text, "/dev/NAME:VALUE");
  return { Path, value };
}

export interface DeviceRequest {
  Driver?: string;
  Count?: number;
  DeviceIDs?: string[];
  Capabilities?: string[][];
  Options?: Record<string, string>;
}

/** Reads `all`, a number, or fields such as `"device=0,1",capabilities=utility`. */
export function parseGpus(option: string, text: string): DeviceRequest {
  const request: DeviceRequest = { Capabilities: [["gpu"]] };
  const seen = new Set<string>();
  const count = (value: string) => value === "all" ? -1 : parseDecimal(option, value);
  for (const field of parseCsv(option, text)) {
    const [key, value] = cut(field, "=");
    if (seen.has(key)) throw refuse(option, text, `${key} only once`);
    seen.add(key);
    if (value === undefined) {
      seen.add("count");
      request.Count = count(key);
    } else if (key === "driver") request.Driver = value;
    else if (key === "count") request.Count = count(value);
    else if (key === "device") request.DeviceIDs = value.split(",");
    else if (key === "capabilities") request.Capabilities = [[...value.split(","), "gpu"]];
    else if (key === "options") {
      request.Options = Object.fromEntries(
        parseCsv(option, value).map((one) => {
          const [name, setting = ""] = cut(one, "=");
          return [name, setting];
        }),
      );
    } else throw refuse(option, text, "driver, count, device, capabilities and options");
  }
  if (!seen.has("count") && request.DeviceIDs === undefined) request.Count = 1;
  return request;
}
