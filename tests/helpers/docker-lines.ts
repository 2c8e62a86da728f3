/**
 * Command lines of `docker run` for the differential tests: what follows `run`, quoted as for a shell. Those with
 * `newer` need a client newer than Debian 12's (20.10), or one that does not behave as the newer ones do; `stricter`
 * says why cordon refuses what docker's client lets through.
 */
export interface DockerLine {
  line: string;
  newer?: true;
  stricter?: string;
}

/** Files that lines name, written beside the working directory of a run. */
export const FILES: Record<string, string> = {
  "vars.env": "# comment\n\nA=1\n  B= two \nPASSED\nABSENT_HERE\nC=x=y\n",
  "bom.env": "\ufeffFIRST=1\nSECOND=2\r\n",
  "spaces.env": "A B=1\n",
  "noname.env": "=1\n",
  "labels": "one=1\ntwo=two words\n",
  "profile.json": '{ "defaultAction": "SCMP_ACT_ALLOW",\n  "syscalls": [] }\n',
  "broken.json": "{ nothing",
};

/** Variables of the runs. */
export const VARIABLES: Record<string, string> = { PASSED: "from outside", EMPTY: "" };

function lines(text: string, more: Partial<DockerLine> = {}): DockerLine[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").map((line) => ({
    line,
    ...more,
  }));
}

const PLAIN = lines(String.raw`
  img
  img cmd
  img cmd -it --rm
  img -- cmd
  -- img cmd
  -- img -- cmd
  --rm img
  --rm=true img
  --rm=false img
  --rm=T img
  --rm=0 img
  --rm=yes img
  --rm= img
  --rm true img
  --privileged false img
  --privileged=false img
  --privileged=true img
  --privileged img
  --priv img
  --privilege=1 img
  ---rm img
  --=x img
  --rm
  -
  - img
  "" img
  -e
  --env
  --network
  -x img
  -ix img
  -i img
  -di img
  -id img
  -im 64m img
  -im64m img
  -im=64m img
  -i=true img
  -i=false img
  -d=false img
  -i=x img
  -im= img
  -e=A=1 img
  -eA=1 img
  -e A=1 img
  -e= img
  -e=x img
  -diP img
  -iP -m 1g -p 80 img
  -itm
  -hname img
  -h name img
  -h=name img
  --hostname name --domainname example.org img
  --hostname= img
  -v/a:/b img
  -v /a:/b img
  -v=/a:/b img
  --name x img
  --name=x --name=y img
  --platform linux/arm64 img
  --pull always img
  --pull never img
  --pull missing img
  --no-such-flag img
  --rm --no-such-flag=1 img
  --init img
  --init=false img
  --init=true img
  --sig-proxy=false img
  --sig-proxy img
  --detach-keys ctrl-x img
  --disable-content-trust img
  -d -a stdout img
  -a stdin img
  -a stdin -a stdout img
  -a STDERR img
  -a nowhere img
  -i -a stdout img
  -d -i img
  img/with/path:tag
  registry.example:5000/img:1
  img@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  IMG
  img:
  img:a/b
  img:tag:tag
  /img
  img@md5:1
`);

const CONFIG = lines(String.raw`
  -u 1000 img
  -u 1000:1000 img
  --user root:wheel img
  -w /work img
  --workdir=relative img
  -e A=1 -e B=2 img
  -e A=1 -e A=2 img
  -e PASSED img
  -e EMPTY img
  -e UNSET_HERE img
  -e UNSET_HERE -e UNSET_HERE=1 img
  -e =1 img
  -e "A=b c" -e 'B="q"' -e C= img
  -e "A B=1" img
  --env-file vars.env img
  --env-file vars.env -e A=9 img
  --env-file bom.env img
  --env-file spaces.env img
  --env-file noname.env img
  --env-file absent.env img
  --label-file labels -l three img
  --label-file labels --label one=2 img
  --label-file absent img
  -l a -l b=1 -l c= img
  -l "a b=1" img
  -l =1 img
  -l "" img
  --label " a=1" img
  --entrypoint sh img -c true
  --entrypoint= img
  --entrypoint "" img cmd
  --stop-signal SIGINT --stop-timeout 5 img
  --stop-timeout 0 img
  --stop-timeout=-1 img
  --stop-timeout five img
  --stop-timeout 0x10 img
  --stop-timeout 010 img
  --stop-timeout 0o17 img
  --stop-timeout 1_000 img
  --stop-timeout 1e3 img
  --health-cmd true img
  --health-cmd true --health-interval 1m30s --health-timeout 500ms --health-retries 3 --health-start-period 1.5h img
  --health-interval 0 img
  --health-interval 5 img
  --health-interval -1s img
  --health-interval .5s img
  --health-interval 1.s img
  --health-interval 1h1h img
  --health-interval 10us img
  --health-interval 10ns img
  --health-interval 1d img
  --health-interval "1 s" img
  --health-timeout "" img
  --health-retries -1 img
  --health-retries 0 img
  --no-healthcheck img
  --no-healthcheck --health-cmd true img
  --no-healthcheck=false --health-cmd true img
  --expose 80 img
  --expose 80-82/udp img
  --expose 80/sctp --expose 80 img
  --expose 1:2 img
  --expose 82-80 img
  --expose "" img
  --expose 70000 img
  --expose x img
`);

const MOUNTS = lines(String.raw`
  -v /a:/b -v /c:/d:ro img
  -v /a:/b:ro,z,rshared img
  -v name:/b img
  -v name:/b:nocopy img
  -v /only img
  -v /only -v /only img
  -v /a:/b -v /a:/b img
  -v / img
  -v /a img
  -v a:/b img
  -v ~/x:/y img
  -v name:relative img
  -v /a:/b:unknown img
  -v "/with space:/b c" img
  -v /ä:/ö img
  --volume /var/run/docker.sock:/var/run/docker.sock img
  --volume-driver local -v x:/y img
  --volumes-from other --volumes-from third:ro img
  --tmpfs /run img
  --tmpfs /run:size=64m,mode=1777 --tmpfs /tmp img
  --tmpfs /run --tmpfs /run:ro img
  --mount type=bind,source=/a,target=/b img
  --mount type=bind,src=/a,dst=/b,readonly img
  --mount type=bind,src=/a,destination=/b,ro=false img
  --mount type=bind,src=/a,dst=/b,ro=maybe img
  --mount type=bind,src=/a,dst=/b,readonly=1,bind-propagation=RSLAVE,consistency=Cached img
  --mount type=bind,src=/a,dst=/b,bind-nonrecursive img
  --mount type=bind,src=/a,dst=/b,bind-nonrecursive=false img
  --mount source=x,target=/b img
  --mount dst=/b img
  --mount type=volume,dst=/b,volume-nocopy img
  --mount type=volume,src=v,dst=/b,volume-label=a=1,volume-label=b,volume-driver=local,volume-opt=type=none,volume-opt=device=/etc,volume-opt=o=bind img
  --mount type=volume,dst=/b,volume-nocopy=yes img
  --mount type=tmpfs,dst=/t img
  --mount type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770 img
  --mount type=tmpfs,dst=/t,tmpfs-size=lots img
  --mount type=tmpfs,dst=/t,tmpfs-mode=9 img
  --mount type=tmpfs,dst=/t,bind-propagation=rslave img
  --mount type=bind,src=/a,dst=/b,volume-nocopy img
  --mount type=bind,src=/a,dst=/b,tmpfs-size=1 img
  --mount type=BIND,src=/a,dst=/b img
  --mount type=strange,src=/a,dst=/b img
  --mount type=,dst=/b img
  --mount type=bind,src=/a img
  --mount type=bind,src=/a,dst=/b,unknown=1 img
  --mount type=bind,src=/a,dst=/b,flag img
  --mount "" img
  --mount type=bind,src=/a,,dst=/b img
  --mount '"type=bind","src=/with,comma",dst=/b' img
  --mount '"src=/with ""quotes""",type=bind,dst=/b' img
  --mount 'type=bind,src=/a"b,dst=/b' img
  --mount 'type=bind,"src=/a' img
  --mount '"type=bind"x,src=/a,dst=/b' img
  --mount type=bind,src=/a,dst=/b --mount type=tmpfs,dst=/c img
  --mount type=bind,src=/a=b,dst=/b img
  --read-only img
  --shm-size 64m img
  --shm-size 1.5g img
  --storage-opt size=10G img
  --storage-opt size img
  --device /dev/null img
  --device /dev/null:/dev/x img
  --device /dev/null:rw img
  --device /dev/null:/dev/x:r img
  --device /dev/null:/dev/x:rx img
  --device /dev/null:rr img
  --device null img
  --device /dev//null img
  --device /dev/null:/dev/../x img
  --device /dev/null:x img
  --device :/dev/x img
  --device "" img
  --device a:b:c:d img
  --device-cgroup-rule "c 1:3 mr" img
  --device-cgroup-rule "a *:* rwm" img
  --device-cgroup-rule "c 1:3" img
  --device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:2048 img
  --device-read-iops /dev/sda:100 --device-write-iops /dev/sdb:0 img
  --device-read-bps sda:1mb img
  --device-read-bps /dev/sda img
  --device-read-bps /dev/sda:x img
  --device-read-iops /dev/sda:-1 img
  --device-read-iops /dev/sda:1m img
  --blkio-weight 300 --blkio-weight-device /dev/sda:500 img
  --blkio-weight 70000 img
  --blkio-weight -1 img
  --blkio-weight-device /dev/sda:5 img
  --blkio-weight-device /dev/sda:0 img
  --blkio-weight-device /dev/sda:1001 img
  --gpus all img
  --gpus 2 img
  --gpus device=0 img
  --gpus '"device=0,2"' img
  --gpus 'all,"capabilities=utility,compute"' img
  --gpus driver=nvidia,count=all,options=a=b img
  --gpus all,count=1 img
  --gpus x img
  --gpus key=1 img
  --gpus "" img
  --gpus 1 --gpus device=3 img
  --gpus count=-1 img
`);

const NETWORK = lines(String.raw`
  --network none img
  --network host img
  --network=bridge img
  --net host img
  --net=none img
  --network container:other img
  --network mine img
  --network mine --network-alias a --net-alias b img
  --network mine --ip 172.30.1.2 --ip6 2001:db8::33 --link-local-ip 169.254.1.2 img
  --network mine --link db:database img
  --network name=mine img
  --network name=mine,alias=web,alias=www img
  --network name=mine,driver-opt=a=b,driver-opt=c=d img
  --network name=mine,driver-opt=a img
  --network alias=x img
  --network name=mine,strange=1 img
  --network name=mine,alias=a --network-alias b img
  --network a=1 img
  --network default img
  --link db img
  --link db:database img
  --link a:b:c img
  --link "" img
  -p 80 img
  -p 8080:80 img
  -p 127.0.0.1:8080:80 img
  -p 127.0.0.1::80 img
  -p :80 img
  -p 8080:80/udp img
  -p 8080:80/UDP img
  -p 8080:80/sctp img
  -p 8080:80/icmp img
  -p 8000-8002:80-82 img
  -p 8000-8002:80 img
  -p 8000-8001:80-82 img
  -p 80-82 img
  -p [::1]:8080:80 img
  -p 1.2.3:8080:80 img
  -p localhost:8080:80 img
  -p 8080: img
  -p "" img
  -p 80:x img
  -p x:80 img
  -p 70000:80 img
  -p published=8080,target=80 img
  -p published=8080,target=80,protocol=udp img
  -p target=80 img
  -p =80 img
  -p 80 -p 80 -p 81 --expose 80 img
  -P img
  --publish-all=false img
  --dns 8.8.8.8 --dns 2001:4860:4860::8888 img
  --dns "0:0:0:0:0:0:0:1" img
  --dns ::ffff:1.2.3.4 img
  --dns ::FFFF img
  --dns 1.2.3 img
  --dns 01.2.3.4 img
  --dns "" img
  --dns fe80::1%eth0 img
  --dns-opt ndots:1 --dns-option timeout:2 img
  --dns-search example.org --dns-search . img
  --dns-search example.org. img
  --dns-search 1 img
  --dns-search "a b" img
  --dns-search -x img
  --add-host a:1.2.3.4 --add-host b:::1 img
  --add-host a:host-gateway img
  --add-host a img
  --add-host a:b img
  --add-host a: img
  --add-host :1.2.3.4 img
`);

const LIMITS = lines(String.raw`
  -m 512m img
  -m 512M img
  -m 512mb img
  -m 512MiB img
  -m 1g img
  -m 1.5g img
  -m 0 img
  -m 4096 img
  -m 4096b img
  -m "1 g" img
  -m 1t img
  -m 1p img
  -m 1e img
  -m -1 img
  -m x img
  -m "" img
  -m 1gg img
  -m 1kib img
  -m 1kbi img
  -m 0.5 img
  -m 1g -m 2g img
  -m x -m 2g img
  --memory-swap -1 img
  --memory-swap 2g -m 1g img
  --memory-swap -2 img
  --memory-reservation 256m --kernel-memory 64m img
  --memory-swappiness 60 img
  --memory-swappiness 0 img
  --memory-swappiness -1 img
  --memory-swappiness 101 img
  --memory-swappiness -2 img
  --oom-kill-disable img
  --oom-score-adj 500 img
  --oom-score-adj -500 img
  --oom-score-adj x img
  --pids-limit 100 img
  --pids-limit -1 img
  --pids-limit 1.5 img
  --cpus 1 img
  --cpus 0.5 img
  --cpus .5 img
  --cpus 1. img
  --cpus 1.5e-1 img
  --cpus 3/2 img
  --cpus 1/3 img
  --cpus 0.0000000001 img
  --cpus two img
  --cpus "" img
  --cpus -1 img
  -c 512 img
  --cpu-shares 0x200 img
  --cpu-period 100000 --cpu-quota 50000 img
  --cpu-quota -1 img
  --cpu-rt-period 1000000 --cpu-rt-runtime 950000 img
  --cpuset-cpus 0-1 --cpuset-mems 0 img
  --cpu-count 1 img
  --cpu-percent 5 img
  --io-maxiops 5 img
  --io-maxbandwidth 5m img
  --ulimit nofile=1024 img
  --ulimit nofile=1024:2048 --ulimit nproc=10 img
  --ulimit core=-1 img
  --ulimit core=0:-1 img
  --ulimit core=-1:0 img
  --ulimit nofile=2048:1024 img
  --ulimit nofile=x img
  --ulimit nofile img
  --ulimit as=1 img
  --ulimit nofile=1:2:3 img
  --ulimit nofile=1 --ulimit nofile=2 img
`);

const SECURITY = lines(String.raw`
  --cap-add SYS_ADMIN --cap-drop ALL img
  --cap-add sys_admin img
  --cap-add CAP_SYS_ADMIN img
  --cap-drop net_raw --cap-drop mknod img
  --security-opt no-new-privileges img
  --security-opt no-new-privileges=true img
  --security-opt no-new-privileges:true img
  --security-opt seccomp=unconfined img
  --security-opt seccomp:unconfined img
  --security-opt seccomp=profile.json img
  --security-opt seccomp:profile.json img
  --security-opt seccomp=broken.json img
  --security-opt seccomp=absent.json img
  --security-opt apparmor=unconfined img
  --security-opt apparmor:unconfined img
  --security-opt label=disable img
  --security-opt label:type:svirt img
  --security-opt label=type:svirt --security-opt label=level:s0 img
  --security-opt systempaths=unconfined img
  --security-opt systempaths:unconfined img
  --security-opt systempaths=unconfined --security-opt seccomp=unconfined img
  --security-opt seccomp img
  --security-opt seccomp= img
  --security-opt "" img
  --security-opt no-new-privilege img
  --group-add 10 --group-add audio img
  --userns host img
  --userns private img
  --pid host img
  --pid container:x img
  --pid container: img
  --pid mine img
  --uts host img
  --uts other img
  --ipc host img
  --ipc shareable img
  --ipc container:x img
  --cgroupns host img
  --cgroupns private img
  --cgroupns other img
  --cgroup-parent /x img
  --isolation default img
  --runtime runsc img
  --sysctl net.ipv4.ip_forward=1 img
  --sysctl kernel.shmmax=1 --sysctl fs.mqueue.msg_max=2 img
  --sysctl kernel.hostname=x img
  --sysctl net.x img
  --sysctl vm.swappiness=1 img
  --restart no img
  --restart always img
  --restart unless-stopped img
  --restart on-failure:3 img
  --restart on-failure:x img
  --restart no --rm img
  --restart always --rm img
  --restart "" img
  --log-driver none img
  --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 img
  --log-driver none --log-opt max-size=10m img
  --log-opt flag img
  --cidfile id.txt img
`);

/** What only newer clients do, or do differently from Debian's. */
const NEWER = lines(
  String.raw`
  --annotation a=b --annotation c img
  --health-start-interval 5s img
  --health-start-interval -5s img
  -v ./here:/b img
  -v .:/b img
  -v ../up:/b img
  -v .hidden:/b img
  -v /a:/b:/c:/d img
  -v /a::ro img
  -v :/b img
  -v a:b:c img
  -v c:/b img
  --mount type=bind,src=.,dst=/b img
  --mount type=bind,src=./x,dst=/b img
  --mount type=bind,src=/a,dst=/b,ro,bind-recursive=writable img
  --mount type=bind,src=/a,dst=/b,bind-recursive=writable img
  --mount type=bind,src=/a,dst=/b,bind-recursive=disabled img
  --mount type=bind,src=/a,dst=/b,bind-recursive=enabled img
  --mount type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate img
  --mount type=bind,src=/a,dst=/b,ro,bind-recursive=readonly img
  --mount type=bind,src=/a,dst=/b,bind-recursive=other img
  --mount type=volume,src=v,dst=/b,volume-subpath=x img
  --mount type=image,src=i,dst=/b img
  --mount type=image,src=i,dst=/b,image-subpath=x img
  --mount type=bind,src=/a,dst=/b,image-subpath=x img
  --mount TYPE=bind,SRC=/a,dst=/b img
  --network name=mine,mac-address=92:d0:c6:0a:29:33,link-local-ip=169.254.1.2 img
  --network name=mine,ip=172.30.1.2,ip6=2001:db8::33 img
  --network name=mine,ip=172.30.1.2 --ip 172.30.1.3 img
  --network name=mine,gw-priority=10 img
  --network name=mine,gw-priority=x img
  --network NAME=MINE,ALIAS=Web img
  --network one --network two img
  --network one --network one img
  --network one --network host img
  --network none --network-alias a img
  --network-alias a img
  --network none --link db img
  --ip 172.30.1.2 img
  --mac-address 92:d0:c6:0a:29:33 img
  --mac-address 92-d0-c6-0a-29-33 img
  --mac-address 92d0.c60a.2933 img
  --mac-address 92:d0:c6:0a:29 img
  --mac-address x img
  --network mine --mac-address 92:d0:c6:0a:29:33 img
  --network name=mine,mac-address=92:d0:c6:0a:29:33 --mac-address 92:d0:c6:0a:29:33 img
  --device vendor.com/class=name img
  --device vendor.com/class=name --gpus all img
  --device vendor/class= img
  --add-host a=1.2.3.4 img
  --add-host a=::1 img
  --add-host a:[::1] img
  --add-host a:b:1.2.3.4 img
  --add-host a=[::1 img
  --label-file vars.env img
  -m 1e3 img
  -m +1 img
  -m .5g img
  -m 1pb img
  --ulimit nofile=1:-1 img
  --ulimit memlock=-1:-1 img
  --env-file vars.env --env-file bom.env -e A=1 img
  --security-opt seccomp=builtin img
  --quiet --pull always img
  -q img
  -qd img
  --pull sometimes img
  -v "" img
  --mount type=volume,dst=/b,volume-opt==x img
  -p ::1:8080:80 img
  --restart on-failure: img
  --restart :3 img
`,
  { newer: true },
);

const STRICTER: DockerLine[] = [
  {
    line: `--mount "type=tmpfs,dst=/x\ntype=bind,src=/,dst=/y" img`,
    stricter: "docker drops the second line in silence",
  },
  { line: "-p name=1,target=80 img", stricter: "docker drops unknown fields in silence" },
  { line: "-p 80-82-84:80 img", stricter: "docker reads the first two of three numbers" },
  { line: "--ip nowhere --network mine img", stricter: "later clients of docker check it as well" },
];

/** Every pair of some flags of different kinds: the walk over them must not depend on the neighbour. */
function pairs(): DockerLine[] {
  const parts = [
    "-i",
    "-e A=1",
    "--rm=false",
    "-im=32m",
    "--network=none",
    "-v/a:/b",
    "--cpus .5",
    "--privileged=false",
    "-l=x=y",
    "--tmpfs /t",
  ];
  return parts.flatMap((first) =>
    parts.filter((second) => second !== first).map((second) => ({ line: `${first} ${second} img -e cmd` }))
  );
}

export const DOCKER_LINES: readonly DockerLine[] = [
  ...PLAIN,
  ...CONFIG,
  ...MOUNTS,
  ...NETWORK,
  ...LIMITS,
  ...SECURITY,
  ...pairs(),
  ...NEWER,
  ...STRICTER,
];
