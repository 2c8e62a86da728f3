/** cordon inside other sandboxes: works where it can, says what is missing and how to get it where it cannot. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, ok, refused, rootOnly, userOnly } from "../helpers/everyone.ts";
import { program } from "../helpers/need.ts";
import { type Outcome, run } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";

const probe = ["isolate", "-m", "/usr/share", "--", "id", "-u"];

/** Runs something of cordon's inside what `around` makes. */
function within(around: string[], args: string[], asOrdinary: boolean): Promise<Outcome> {
  const argv = [...around, ...cordonArgv(args)];
  return run(asOrdinary ? asUserArgv(argv) : argv, { cwd: "/" });
}

userOnly("where a filter refuses new namespaces, as Docker's does", async (p) => {
  const [file = ""] = cordonArgv([]);
  const container = (args: string[]) => p.isolate(["-m", `ro:${file}`, "--", file, ...args], { cwd: "/" });
  const said = refused(
    await container(probe),
    /^cordon: Create namespaces: EPERM \(Operation not permitted\)$/m,
  );
  assert.match(said, /^hint: cordon doctor$/m);
  const doctor = await container(["doctor"]);
  assert.notEqual(doctor.code, 0);
  assert.match(doctor.stdout, /inside of a sandbox[\s\S]*cordon isolate --nested/);
});

everyone("where user namespaces are used up", async (p) => {
  const limit = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"';
  const around = ["unshare", "-Ur", "sh", "-ec", limit, "sh"];
  const outcome = await within(around, probe, p.name === "user");
  refused(outcome, /^cordon: Create namespaces: ENOSPC/m, /^hint: cordon doctor$/m);
  const doctor = await within(around, ["doctor"], p.name === "user");
  assert.notEqual(doctor.code, 0);
  assert.match(doctor.stdout, /max_user_namespaces is 0/);
}, { needs: [program("unshare")] });

rootOnly(
  "where /proc is masked, as in a container: an ordinary user is told how to have it unmasked",
  async () => {
    const [setpriv = "", ...rest] = asUserArgv([]);
    const masked = 'mount --bind -o ro /proc/sys /proc/sys; exec "$@"';
    const around = ["unshare", "-m", "--propagation", "private", "sh", "-ec", masked, "sh", setpriv, ...rest];
    refused(await within(around, probe, false), /^cordon: Make a proc: EPERM/m, /^hint: cordon doctor$/m);
    const doctor = await within(around, ["doctor"], false);
    assert.match(
      doctor.stdout,
      /parts of \/proc are covered here \(\/proc\/sys\)[\s\S]*systempaths=unconfined/,
    );
  },
  { needs: [program("unshare"), program("setpriv")] },
);

rootOnly("in a chroot the kernel allows no user namespace", async (p) => {
  const dir = p.dir();
  const chroot = 'mount --rbind / "$0"; exec chroot "$0" "$@"';
  const around = ["unshare", "-m", "--propagation", "private", "sh", "-ec", chroot, dir];
  refused(await within(around, probe, false), /^cordon: Create namespaces: EPERM/m, /^hint: cordon doctor$/m);
  assert.equal(await p.sh("ls -A", dir), "");
}, { needs: [program("unshare")] });

everyone("in user, mount and process namespaces with a /proc of their own it works", async (p) => {
  const around = ["unshare", "-Urmpf", "--mount-proc"];
  assert.equal(ok(await within(around, probe, p.name === "user")), "0");
}, { needs: [program("unshare")] });

everyone("in bwrap with the whole /proc it works", async (p) => {
  const around = "bwrap --dev-bind / / --unshare-user --unshare-ipc --unshare-uts".split(" ");
  assert.equal(ok(await within(around, probe, p.name === "user")), String(p.uid));
}, { needs: [program("bwrap")] });
