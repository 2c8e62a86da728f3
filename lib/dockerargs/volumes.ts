/** The values of `-v` and `--mount`. No I/O. */
import { posix } from "node:path";
import { refuse } from "../cli/values.ts";
import { cut, parseCsv } from "./csv.ts";
import { parseBool, parseRamSize } from "./numbers.ts";

/**
 * What `-v` comes to: a bind (or named volume) for `HostConfig.Binds`, or the place of an anonymous volume for
 * `Volumes`.
 */
export type VolumeArgument = { bind: string } | { anonymous: string };

/**
 * Reads `[SOURCE:]DIR[:OPTIONS]`. A source that begins with a dot is a directory below `cwd`. Options are the
 * engine's to judge.
 */
export function parseVolume(option: string, text: string, cwd: string): VolumeArgument {
  const wanted = "SOURCE:DIR[:OPTIONS], or DIR for an anonymous volume";
  if (text === "") throw refuse(option, text, wanted);
  if (new TextEncoder().encode(text).length <= 2) return { anonymous: text };
  const parts = sections(text);
  if (parts.some((part) => part === "") || parts.length > 3) throw refuse(option, text, wanted);
  if (parts.length === 1) return { anonymous: text };
  const [source, rest] = cut(text, ":");
  const relative = parts[0] === source && source.startsWith(".");
  return { bind: relative ? `${posix.resolve(cwd, source)}:${rest}` : text };
}

/** Split at colons, but for one behind a single letter: docker takes that for a Windows drive on every system. */
function sections(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (const character of text) {
    if (character === ":" && !(/^\p{L}$/u.test(part))) {
      parts.push(part);
      part = "";
    } else {
      part += character;
    }
  }
  return [...parts, part];
}

/** A mount of the Engine API; absent options are the engine's defaults. */
export interface ApiMount {
  Type: string;
  Source?: string;
  Target: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: {
    Propagation?: string;
    NonRecursive?: boolean;
    ReadOnlyNonRecursive?: boolean;
    ReadOnlyForceRecursive?: boolean;
  };
  VolumeOptions?: {
    NoCopy?: boolean;
    Labels?: Record<string, string>;
    Subpath?: string;
    DriverConfig?: { Name?: string; Options?: Record<string, string> };
  };
  ImageOptions?: { Subpath?: string };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}

/** Reads the fields `KEY=VALUE,…` of `--mount`. */
export function parseMount(option: string, text: string, cwd: string): ApiMount {
  const mount: ApiMount = { Type: "volume", Target: "" };
  for (const field of parseCsv(option, text)) {
    const [key, value] = cut(field, "=");
    setMountField(mount, { option, text, key: key.toLowerCase(), value, cwd });
  }
  checkMount(option, text, mount);
  return mount;
}

interface MountField {
  option: string;
  text: string;
  key: string;
  value: string | undefined;
  cwd: string;
}

function setMountField(mount: ApiMount, field: MountField): void {
  const { option, text, key, value, cwd } = field;
  const flag = () => value === undefined || parseBool(`${key} of ${option}`, value);
  if (value === undefined && !["readonly", "ro", "volume-nocopy", "bind-nonrecursive"].includes(key)) {
    throw refuse(option, text, `KEY=VALUE where ${JSON.stringify(key)} stands`);
  }
  const given = value ?? "";
  switch (key) {
    case "type":
      mount.Type = given.toLowerCase();
      return;
    case "source":
    case "src":
      mount.Source = given.startsWith(".") ? posix.resolve(cwd, given) : given;
      return;
    case "target":
    case "dst":
    case "destination":
      mount.Target = given;
      return;
    case "readonly":
    case "ro":
      mount.ReadOnly = flag();
      return;
    case "consistency":
      mount.Consistency = given.toLowerCase();
      return;
    case "image-subpath":
      mount.ImageOptions = { Subpath: given };
      return;
    case "tmpfs-size":
      mount.TmpfsOptions = {
        ...mount.TmpfsOptions,
        SizeBytes: parseRamSize(`tmpfs-size of ${option}`, given),
      };
      return;
    case "tmpfs-mode":
      if (!/^[0-7]{1,11}$/.test(given) || parseInt(given, 8) >= 2 ** 32) {
        throw refuse(`tmpfs-mode of ${option}`, given, "a mode in octal digits");
      }
      mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: parseInt(given, 8) };
      return;
  }
  if (key.startsWith("bind-")) {
    return setBindOption(mount.BindOptions ??= {}, { ...field, value: given, flag });
  }
  if (key.startsWith("volume-")) {
    return setVolumeOption(mount.VolumeOptions ??= {}, { ...field, value: given, flag });
  }
  throw refuse(option, text, `none of the key ${JSON.stringify(key)}`);
}

type OptionField = MountField & { value: string; flag: () => boolean };

function setBindOption(bind: NonNullable<ApiMount["BindOptions"]>, field: OptionField): void {
  const { option, text, key, value, flag } = field;
  if (key === "bind-propagation") bind.Propagation = value.toLowerCase();
  else if (key === "bind-nonrecursive") bind.NonRecursive = flag();
  else if (key !== "bind-recursive") throw refuse(option, text, `none of the key ${JSON.stringify(key)}`);
  else if (value === "disabled") bind.NonRecursive = true;
  else if (value === "writable") bind.ReadOnlyNonRecursive = true;
  else if (value === "readonly") bind.ReadOnlyForceRecursive = true;
  else if (value !== "enabled") {
    throw refuse(`bind-recursive of ${option}`, value, "enabled, disabled, writable or readonly");
  }
}

function setVolumeOption(volume: NonNullable<ApiMount["VolumeOptions"]>, field: OptionField): void {
  const { option, text, key, value, flag } = field;
  const [name, setting = ""] = cut(value, "=");
  switch (key) {
    case "volume-nocopy":
      volume.NoCopy = flag();
      return;
    case "volume-subpath":
      volume.Subpath = value;
      return;
    case "volume-label":
      volume.Labels = { ...volume.Labels, ...(name && { [name]: setting }) };
      return;
    case "volume-driver":
      volume.DriverConfig = { ...volume.DriverConfig, Name: value };
      return;
    case "volume-opt":
      volume.DriverConfig = {
        ...volume.DriverConfig,
        Options: { ...volume.DriverConfig?.Options, ...(name && { [name]: setting }) },
      };
      return;
  }
  throw refuse(option, text, `none of the key ${JSON.stringify(key)}`);
}

function checkMount(option: string, text: string, mount: ApiMount): void {
  const { Type, Target, BindOptions, ReadOnly } = mount;
  if (Type === "") throw refuse(option, text, "a type");
  if (Target === "") throw refuse(option, text, "target=DIR");
  for (const kind of ["volume", "image", "bind", "tmpfs"] as const) {
    const options = mount[`${kind[0]!.toUpperCase()}${kind.slice(1)}Options` as keyof ApiMount];
    if (options !== undefined && Type !== kind) {
      throw refuse(option, text, `no ${kind}-… beside type=${Type}`);
    }
  }
  if (BindOptions?.ReadOnlyNonRecursive && !ReadOnly) {
    throw refuse(option, text, "readonly beside bind-recursive=writable");
  }
  if (BindOptions?.ReadOnlyForceRecursive && !(ReadOnly && BindOptions.Propagation === "rprivate")) {
    throw refuse(option, text, "readonly and bind-propagation=rprivate beside bind-recursive=readonly");
  }
}
