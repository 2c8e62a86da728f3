/**
 * Every spelling of what must not be had. Of each: the arguments really ask for it (what the parser of docker-run makes
 * of them has it), the policy refuses them, and where the container's JSON tells it the policy refuses that too,
 * whatever words it came from.
 */
import assert from "node:assert/strict";
import { shellWords } from "../../../../lib/cli/shellwords.ts";
import type { ContainerConfig } from "../../../../lib/docker/containers.ts";
import { type DockerRun, parseRun } from "../../../../lib/dockerargs/run.ts";
import { containerOf } from "../../../../lib/serve/policy/container.ts";
import { Refused } from "../../../../lib/serve/policy/refuse.ts";
import { ALL, facts, GENEROUS, tenantOf, verdict } from "./policies.ts";

const SECRET = "TOKEN=of-the-server";

/** What docker's own client, run by the server, would make of it. */
function parsed(args: string): DockerRun {
  return parseRun(shellWords(args)!, {
    cwd: "/",
    env: { TOKEN: "of-the-server" },
    readFile: (path) => new TextEncoder().encode(/json$/.test(path) ? `{"a":1}` : SECRET),
  });
}

interface Attack {
  args: string[];
  /** Whether a container has what the attack is after. */
  has(config: ContainerConfig, host: Record<string, unknown>, run: DockerRun): unknown;
  says: RegExp;
  /** The JSON tells nothing: the words must. */
  wordsOnly?: true;
}

const SECCOMP_FILE = "--security-opt seccomp=/etc/profile.json";

const ATTACKS: Record<string, Attack> = {
  privileged: {
    args: [
      "--privileged img",
      "--privileged=true img",
      "--privileged=1 img",
      "--privileged=T img",
      "--privileged=false --privileged=true img",
      "--privileged false img",
      "-it --privileged img",
      "'--privileged' img",
      '"--priv"ileged img',
      "--privi\\leged img",
      "--rm --privileged -- img",
    ],
    has: (_, { Privileged }) => Privileged === true,
    says: /--privileged is not allowed: it takes all isolation away|Privileged|behind the image/,
  },
  "the host's network": {
    args: [
      "--net host img",
      "--net=host img",
      "--network host img",
      "--network=host img",
      "--network name=host img",
      "--network NAME=HOST img",
      '--network "name=host" img',
      "--net 'host' img",
    ],
    has: (_, { NetworkMode }) => NetworkMode === "host",
    says: /--network "host" is not allowed: there is none, bridge, course/,
  },
  "another container's network": {
    args: ["--net container:db img", "--network=container:db img"],
    has: (_, { NetworkMode }) => String(NetworkMode).startsWith("container:"),
    says: /--network "container:db"/,
  },
  "a network that is not listed": {
    args: [
      "--net internal img",
      "--network=slirp4netns:port_handler img",
      "--net ns:/proc/1/ns/net img",
    ],
    has: (_, { NetworkMode }) => /^(internal|slirp4netns|ns:)/.test(String(NetworkMode)),
    says: /--network/,
  },
  "addresses in a network": {
    args: [
      "--network course --ip 10.0.0.1 img",
      "--network name=course,ip=10.0.0.1 img",
      "--network course --network-alias gateway img",
      "--network name=course,alias=gateway img",
      "--network course --mac-address 92:d0:c6:0a:29:33 img",
      "--network course --net-alias x img",
      "--network course --link db img",
      "--network course --network bridge2 img",
    ],
    has: (config) => config["NetworkingConfig"] !== undefined,
    says: /not allowed: (addresses and names|it reaches into another)/,
  },
  "the whole disk": {
    args: [
      "-v/:/h img",
      "-v /:/h img",
      "-v=/:/h img",
      "-v '/:/h' img",
      "-itv /:/h img",
      "--volume /:/h:ro img",
      "--volume=/:/h img",
      "-v /srv/data/../../:/h:ro img",
      "-v /srv/data/../..:/h:ro img",
      "-v //:/h:ro img",
      "-v /srv/data/../../etc:/h:ro img",
      "-v ./:/h:ro img",
      "-v .:/h:ro img",
    ],
    has: (_, { Binds }) => (Binds as string[] | undefined)?.some((bind) => /:\/h/.test(bind)),
    says: /a mount of .* is not allowed: there is nothing that may be mounted/,
  },
  "the whole disk by --mount": {
    args: [
      "--mount type=bind,source=/,target=/h img",
      "--mount type=bind,src=/,dst=/h,ro img",
      "--mount TYPE=bind,SRC=/,DST=/h,readonly img",
      "--mount 'type=BIND,source=/,destination=/h' img",
      '--mount type=bind,"source=/",target=/h img',
      "--mount type=bind,source=/srv/data/../..,target=/h,ro img",
      "--mount type=bind,type=volume,type=bind,source=/,target=/h img",
      "--mount type=bind,source=/srv/data,source=/,target=/h,ro img",
      "--mount type=bind,source=.,target=/h img",
    ],
    has: (_, { Mounts }) => (Mounts as { Type: string }[]).some(({ Type }) => Type === "bind"),
    says: /a mount of .* is not allowed: there is nothing that may be mounted/,
  },
  "system directories and sockets": {
    args: [
      "-v /etc:/x:ro img",
      "-v /etc/shadow:/x:ro img",
      "-v /proc:/x:ro img",
      "-v /sys:/x:ro img",
      "-v /dev:/x:ro img",
      "-v /run:/x:ro img",
      "-v /var/run:/x:ro img",
      "-v /var/run/docker.sock:/var/run/docker.sock img",
      "-v /run/docker.sock:/run/docker.sock:ro img",
      "-v /var/lib/docker:/x:ro img",
      "-v /root:/x:ro img",
      "-v /srv:/x:ro img",
      "-v /var:/x:ro img",
    ],
    has: (_, { Binds }) => (Binds as string[]).length === 1,
    says: /there is nothing that may be mounted/,
  },
  "writing where only reading is given": {
    args: [
      "-v /srv/data:/x -u 1000:1000 img",
      "-v /srv/data:/x:rw -u 1000:1000 img",
      "--mount type=bind,src=/srv/data,dst=/x -u 1000:1000 img",
      "--mount type=bind,src=/srv/data,dst=/x,readonly=false -u 1000:1000 img",
      "--mount type=bind,src=/srv/data,dst=/x,ro,ro=0 -u 1000:1000 img",
    ],
    has: (_, { Binds = [], Mounts = [] }) =>
      (Binds as string[]).some((bind) => !bind.endsWith(":ro")) ||
      (Mounts as { ReadOnly?: boolean }[]).some(({ ReadOnly }) => !ReadOnly),
    says: /read-only; wanted :ro/,
  },
  "writing as root": {
    args: [
      "-v /srv/work:/x img",
      "-u 0 -v /srv/work:/x img",
      "-u root -v /srv/work:/x img",
      "-u 1000 -v /srv/work:/x img",
      "-u 1000:0 -v /srv/work:/x img",
      "-u nobody:nogroup -v /srv/work:/x img",
      "--mount type=bind,src=/srv/work,dst=/x img",
    ],
    has: (_, { Binds = [], Mounts = [] }) => [...Binds as unknown[], ...Mounts as unknown[]].length === 1,
    says: /a writable mount of "\/srv\/work" is not allowed: what a container's root leaves there/,
  },
  "a place below what can be written": {
    args: [
      "-v /srv/work/x:/x:ro img",
      "-v /srv/work/./x:/x:ro img",
      "--mount type=bind,src=/srv/work/x,dst=/x,ro img",
    ],
    has: (_, { Binds = [], Mounts = [] }) => [...Binds as unknown[], ...Mounts as unknown[]].length === 1,
    says: /it lies in a directory that may be written, where it could be exchanged/,
  },
  "a bind in disguise": {
    args: [
      "--mount type=volume,dst=/h,volume-driver=local,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/ img",
      "--mount 'dst=/h,\"volume-opt=o=bind,ro\",volume-opt=type=none,volume-opt=device=/etc' img",
      "--mount src=v,dst=/h,volume-opt=type=nfs,volume-opt=o=addr=10.0.0.1,volume-opt=device=:/ img",
    ],
    has: (_, { Mounts }) =>
      (Mounts as { VolumeOptions?: { DriverConfig?: unknown } }[])[0]?.VolumeOptions?.DriverConfig,
    says: /a mount of type "volume" is not allowed: with a driver's options a volume is whatever they say/,
  },
  "volumes of the engine": {
    args: [
      "-v secrets:/x img",
      "--mount type=volume,src=secrets,dst=/x img",
      "--mount src=secrets,dst=/x img",
      "--mount type=image,src=other,dst=/x img",
      "--mount type=npipe,src=x,dst=/x img",
      "--mount type=cluster,src=x,dst=/x img",
      "--mount type=glob,src=/etc/*,dst=/x img",
      "--mount type=devpts,dst=/x img",
    ],
    has: (_, { Binds = [], Mounts = [] }) => [...Binds as unknown[], ...Mounts as unknown[]].length === 1,
    says: /not allowed: (volumes of the engine are not given|there are mounts of type bind and tmpfs)/,
  },
  "anonymous volumes": {
    args: ["-v /x img", "-v / img", "-v=/x img"],
    has: ({ Volumes }) => Volumes !== undefined,
    says: /server's disk without a limit/,
  },
  "mounts that spread, or change labels": {
    args: [
      "-v /srv/data:/x:ro,shared img",
      "-v /srv/data:/x:rslave,ro img",
      "-v /srv/data:/x:ro,z img",
      "-v /srv/data:/x:ro,Z img",
      "-v /srv/data:/x:ro,U img",
      "--mount type=bind,src=/srv/data,dst=/x,ro,bind-propagation=rshared img",
      "--mount type=bind,src=/srv/data,dst=/x,ro,bind-recursive=writable img",
      "--mount type=bind,src=/srv/data,dst=/x,ro,bind-nonrecursive img",
    ],
    has: (_, { Binds = [], Mounts = [] }) => [...Binds as unknown[], ...Mounts as unknown[]].length === 1,
    says: /not allowed: (how mounts spread|there is ro and rw|it changes the security labels)/,
  },
  "a mount over what the kernel shows": {
    args: [
      "-v /srv/data:/proc:ro img",
      "-v /srv/data:/proc/self:ro img",
      "-v /srv/data:/sys/fs/cgroup:ro img",
      "-v /srv/data:/x/../proc/sys:ro img",
      "--mount type=bind,src=/srv/data,dst=/dev,ro img",
      "--mount type=bind,src=/srv/data,dst=/,ro img",
      "--tmpfs /proc img",
      "--tmpfs /sys:size=1m img",
      "--mount type=tmpfs,dst=/dev img",
      "--tmpfs / img",
    ],
    has: (_, { Binds = [], Mounts = [], Tmpfs = {} }) =>
      [...Binds as unknown[], ...Mounts as unknown[], ...Object.keys(Tmpfs as object)].length === 1,
    says: /a mount at .* is not allowed: it would/,
  },
  "a tmpfs with powers, or without a bound": {
    args: [
      "--tmpfs /x:suid img",
      "--tmpfs /x:dev img",
      "--tmpfs /x:size=1m,nr_inodes=0 img",
      "--tmpfs /x:size=64g img",
      "--mount type=tmpfs,dst=/x,tmpfs-size=64g img",
      "--tmpfs /x:mpol=bind:0 img",
    ],
    has: (_, { Mounts = [], Tmpfs = {} }) =>
      [...Mounts as unknown[], ...Object.keys(Tmpfs as object)].length === 1,
    says: /tmpfs/,
  },
  "security options": {
    args: [
      "--security-opt seccomp=unconfined img",
      "--security-opt seccomp:unconfined img",
      "--security-opt=seccomp=unconfined img",
      "--security-opt apparmor=unconfined img",
      "--security-opt apparmor:unconfined img",
      "--security-opt label=disable img",
      "--security-opt label:disable img",
      "--security-opt no-new-privileges=false img",
      "--security-opt no-new-privileges:false img",
      "--security-opt no-new-privileges --security-opt seccomp=unconfined img",
      "--security-opt credentialspec=file://x img",
      "--security-opt unmask=ALL img",
    ],
    has: (_, { SecurityOpt }) => (SecurityOpt as string[]).some((option) => option !== "no-new-privileges"),
    says: /--security-opt is not allowed: there is no-new-privileges/,
  },
  "system paths": {
    args: ["--security-opt systempaths=unconfined img"],
    has: (_, { MaskedPaths }) => Array.isArray(MaskedPaths),
    says: /MaskedPaths is not allowed/,
  },
  capabilities: {
    args: [
      "--cap-add ALL img",
      "--cap-add=SYS_ADMIN img",
      "--cap-add sys_ptrace img",
      "--cap-add CAP_NET_RAW --cap-drop ALL img",
    ],
    has: (_, { CapAdd }) => (CapAdd as string[]).length > 0,
    says: /--cap-add is not allowed: containers have no capabilities here/,
  },
  devices: {
    args: [
      "--device /dev/sda img",
      "--device=/dev/sda:/dev/x:rwm img",
      "--device /dev/kvm img",
      "--device vendor.com/gpu=all img",
      "--device-cgroup-rule 'b *:* rwm' img",
      "--device-read-bps /dev/sda:1 img",
      "--blkio-weight-device /dev/sda:100 img",
      "--gpus driver=cdi,device=vendor.com/net=all img",
      "--gpus '\"capabilities=utility,compat32\"' img",
    ],
    has: (_, host) =>
      Object.keys(host).some((key) => /^(Devices|DeviceCgroupRules|DeviceRequests|Blkio.*)$/.test(key)),
    says: /(device|gpus)/,
  },
  "processes of others": {
    args: ["--pid host img", "--pid=host img", "--pid=container:db img", "--pid container:db img"],
    has: (_, { PidMode }) => PidMode !== undefined,
    says: /--pid .*is not allowed: it shares the processes|--pid is not allowed: it shares the processes/,
  },
  "memory and names of others": {
    args: [
      "--ipc host img",
      "--ipc=container:db img",
      "--ipc shareable img",
      "--uts host img",
      "--uts=host img",
      "--userns host img",
      "--userns=host img",
      "--cgroupns host img",
      "--cgroupns=host img",
    ],
    has: (_, { IpcMode, UTSMode, UsernsMode, CgroupnsMode }) =>
      IpcMode ?? UTSMode ?? UsernsMode ?? CgroupnsMode,
    says: /--(ipc|uts|userns|cgroupns)/,
  },
  "another runtime or group": {
    args: [
      "--runtime runc img",
      "--runtime=io.containerd.runsc.v1 img",
      "--cgroup-parent / img",
      "--cgroup-parent=../.. img",
      "--isolation process img",
      "--annotation run.oci.keep_original_groups=1 img",
      "--sysctl net.ipv4.ip_forward=1 img",
      "--sysctl=kernel.shmmax=1 img",
      "--storage-opt size=1T img",
      "--volume-driver local img",
    ],
    has: (_, host) =>
      ["Runtime", "CgroupParent", "Isolation", "Annotations", "Sysctls", "StorageOpt", "VolumeDriver"]
        .some((key) => host[key] !== undefined),
    says: /--(runtime|cgroup-parent|isolation|annotation|sysctl|storage-opt|volume-driver)/,
  },
  "another container's files": {
    args: ["--volumes-from db img", "--volumes-from=db:ro img", "--link db img", "--link=db:alias img"],
    has: (_, { VolumesFrom, Links }) => VolumesFrom ?? Links,
    says: /it reaches into another container/,
  },
  "ports of the server": {
    args: [
      "-p 80:80 img",
      "-p80:80 img",
      "--publish 22:22 img",
      "-P img",
      "--publish-all img",
      "--expose 80 img",
    ],
    has: ({ ExposedPorts }, { PortBindings, PublishAllPorts }) =>
      ExposedPorts ?? PortBindings ?? PublishAllPorts,
    says: /it opens a port of the server/,
  },
  "the server by name": {
    args: ["--add-host me:host-gateway img", "--add-host=me=host-gateway img"],
    has: (_, { ExtraHosts }) => (ExtraHosts as string[]).some((text) => text.endsWith("host-gateway")),
    says: /is the server itself/,
  },
  "labels of the server's": {
    args: [
      "--label cordon.serve.tenant=other img",
      "-l cordon.serve.tenant=other img",
      "-lcordon.managed=1 img",
      "--label Cordon.serve.tenant=other img",
      "--label cordon=1 img",
    ],
    has: ({ Labels }) => Object.keys(Labels ?? {}).some((name) => /^cordon/i.test(name)),
    says: /--label is not allowed: the label .* is the server's to give|Labels/,
  },
  "what outlives the request": {
    args: ["--restart always img", "--restart=on-failure:3 img"],
    has: (_, { RestartPolicy }) => RestartPolicy !== undefined,
    says: /nothing outlives its request/,
  },
  "a container that is left": {
    args: ["-d img", "--detach img", "-itd img", "--detach=true img"],
    has: (_, __, { client }) => client.detach,
    says: /nothing outlives its request/,
    wordsOnly: true,
  },
  "files of the server": {
    args: [
      "--env-file /etc/cordon/secret img",
      "--env-file=/proc/self/environ img",
      "--label-file /etc/cordon/secret img",
    ],
    has: ({ Env, Labels }) => (Env?.includes(SECRET)) || Labels?.["TOKEN"] !== undefined,
    says: /it reads a file of the server/,
    wordsOnly: true,
  },
  "a file of the server as a profile": {
    args: [SECCOMP_FILE, "--security-opt=seccomp:/etc/x.json"].map((text) => `${text} img`),
    has: (_, { SecurityOpt }) => (SecurityOpt as string[])[0]?.startsWith("seccomp"),
    says: /Files of the server are not read/,
  },
  "a file on the server": {
    args: ["--cidfile /etc/cron.d/x img", "--cidfile=/tmp/x img"],
    has: (_, { ContainerIDFile }) => ContainerIDFile,
    says: /it writes a file of the server/,
  },
  "variables of the server": {
    args: ["-e TOKEN img", "-eTOKEN img", "--env TOKEN img", "--env=TOKEN img", "-ite TOKEN img"],
    has: ({ Env }) => Env?.includes(SECRET),
    says: /its value would be the server's own/,
    wordsOnly: true,
  },
  "a name": {
    args: ["--name db img", "--name=db img"],
    has: (_, __, { client }) => client.name !== undefined,
    says: /names are shared by all/,
    wordsOnly: true,
  },
  "more than there is": {
    args: [
      "-m 100g img",
      "-m100g img",
      "--memory 1e12 img",
      "--cpus 64 img",
      "--cpus=1.000000001 img",
      "--cpus -1 img",
      "--pids-limit -1 img",
      "--pids-limit=100000 img",
      "--pids-limit 0x1000 img",
    ],
    has: (_, { Memory, NanoCpus, PidsLimit }) => Memory ?? NanoCpus ?? PidsLimit,
    says: /is not allowed: there is at most/,
  },
  "limits by other names": {
    args: [
      "-m 64m --memory-swap -1 img",
      "--memory-swap 100g img",
      "--memory-swappiness 100 img",
      "--memory-reservation 1g img",
      "--oom-kill-disable img",
      "--oom-score-adj -1000 img",
      "--cpu-quota -1 img",
      "--cpu-period 1000 --cpu-quota 1000000 img",
      "--cpu-rt-runtime 950000 img",
      "--ulimit nproc=-1 img",
      "--ulimit memlock=-1 img",
      "--ulimit rtprio=99 img",
      "--cpu-shares 262144 img",
      "--shm-size 64g img",
      "--cpuset-mems 0 img",
    ],
    has: (_, host) => Object.keys(host).length > 0,
    says: /(memory|oom|cpu|ulimit|shm)/,
  },
  "groups of the server": {
    args: [
      "--group-add 0 img",
      "--group-add docker img",
      "--group-add keep-groups img",
      "--group-add root img",
    ],
    has: (_, { GroupAdd }) => (GroupAdd as string[]).length === 1,
    says: /a group is a number above 0/,
  },
  "the engine's log": {
    args: ["--log-driver syslog img", "--log-opt syslog-address=tcp://x img", "--log-driver=json-file img"],
    has: (_, { LogConfig }) => LogConfig !== undefined,
    says: /--log-(driver|opt)|LogConfig/,
  },
  "a health check": {
    args: ["--health-cmd 'curl http://x' img", "--health-interval 1s img"],
    has: ({ Healthcheck }) => Healthcheck !== undefined,
    says: /nothing watches the health/,
  },
};

for (const [name, { args, has, says, wordsOnly }] of Object.entries(ATTACKS)) {
  for (const text of args) {
    Deno.test(`refused: ${name}: ${text}`, () => {
      const run = parsed(text);
      assert.ok(
        has(run.config, (run.config.HostConfig ?? {}) as Record<string, unknown>, run),
        `it asks for nothing: ${JSON.stringify(run.config)}`,
      );
      const answer = verdict(text);
      assert.ok("refused" in answer, `allowed: ${JSON.stringify(answer)}`);
      assert.match(answer.refused, says);
      if (!wordsOnly) assert.throws(() => contained(text), Refused);
    });
  }
}

/** The container by its JSON alone: no word of the command line is looked at. */
function contained(args: string) {
  const run = parsed(args);
  const asked = { tenant: tenantOf(GENEROUS), args, cmd: "true" };
  return containerOf(run, { image: run.image, asked, facts: facts(), enforceable: ALL });
}

Deno.test("refused: what docker's client refuses too, and what is no command line", () => {
  for (
    const [args, says] of [
      ["", /without an image/],
      ["   ", /without an image/],
      ["--rm", /needs an image/],
      ["-v", /-v needs a value/],
      ["--nett host img", /Unknown option "--nett"/],
      ["-x img", /Unknown option "-x"/],
      ["'img", /a quote is not closed/],
      ['"img', /a quote is not closed/],
      ["img\\", /a quote is not closed, or a backslash/],
      ["img ls -l", /behind the image/],
      ["img --privileged", /behind the image/],
      ["--use-api-socket img", /--use-api-socket/],
      ["IMG", /lower case/],
      ["img\u0000", /NUL/],
      ["$(id)", /Invalid image reference/],
      ["`id`", /Invalid image reference/],
      ["img;id", /Invalid image reference/],
      ["img && id", /behind the image/],
      ["--mount type=bind img", /target/],
      ["--network none --network host img", /NetworkingConfig|named twice|not allowed/],
      ["--pull always img", /replaces an image/],
      ["--help img", /runs nothing/],
    ] as const
  ) {
    const answer = verdict(args);
    assert.ok("refused" in answer, args);
    assert.match(answer.refused, says, args);
    assert.doesNotMatch(answer.refused, /\p{Cc}/u, args);
  }
});
