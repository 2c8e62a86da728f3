/** What the executable images are: elf(5) headers, protection of the segments, size. */
import assert from "node:assert/strict";
import { CODE_ADDRESS, ELF_MACHINE, interpreter } from "../../../ffi/interpreter.ts";
import { writeImage } from "../../../lib/shim/image.ts";
import { Program } from "../../../lib/shim/program.ts";
import { sandboxProgram } from "../../../lib/shim/programs/sandbox.ts";
import { program, test } from "../../helpers/need.ts";
import { run } from "../../helpers/run.ts";
import { load } from "../../helpers/simulator.ts";
import { madeUpPlan } from "./plan.ts";
import { ARCHITECTURES, place } from "./running.ts";

const PT_LOAD = 1, PT_GNU_STACK = 0x6474e551;
const X = 1, W = 2, R = 4;
const PAGE = 4096;

interface Segment {
  type: number;
  flags: number;
  offset: number;
  address: number;
  inFile: number;
  inMemory: number;
  align: number;
}

function segments(image: Uint8Array<ArrayBuffer>): Segment[] {
  const view = new DataView(image.buffer);
  const at = Number(view.getBigUint64(32, true)), size = view.getUint16(54, true);
  return Array.from({ length: view.getUint16(56, true) }, (_, i) => {
    const word = (n: number) => Number(view.getBigUint64(at + i * size + n, true));
    return {
      type: view.getUint32(at + i * size, true),
      flags: view.getUint32(at + i * size + 4, true),
      offset: word(8),
      address: word(16),
      inFile: word(32),
      inMemory: word(40),
      align: word(48),
    };
  });
}

for (const arch of ARCHITECTURES) {
  const image = writeImage(sandboxProgram(madeUpPlan({ arch, rawStdio: false })));
  const loaded = segments(image).filter((s) => s.type === PT_LOAD);

  Deno.test(`${arch}: the header says static executable of this machine`, () => {
    const view = new DataView(image.buffer);
    assert.deepEqual([...image.subarray(0, 8)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
    assert.equal(view.getUint16(16, true), 2, "ET_EXEC");
    assert.equal(view.getUint16(18, true), ELF_MACHINE[arch]);
    assert.equal(view.getUint16(18, true), arch === "x86_64" ? 62 : 183);
    assert.equal(view.getUint32(20, true), 1);
    assert.equal(view.getUint16(52, true), 64, "size of the header");
    assert.equal(view.getUint16(54, true), 56, "size of a program header");
    assert.equal(segments(image).some(({ type }) => type === 3), false, "no interpreter of its own");
  });

  Deno.test(`${arch}: code can be executed, data written, nothing both; the stack cannot be executed`, () => {
    assert.deepEqual(loaded.map((s) => s.flags).sort(), [R | X, R | W]);
    const stack = segments(image).filter((s) => s.type === PT_GNU_STACK);
    assert.deepEqual(stack.map((s) => s.flags), [R | W]);
  });

  Deno.test(`${arch}: segments lie in the file, share no page and are aligned as mmap(2) wants`, () => {
    for (const { offset, address, inFile, inMemory, align } of loaded) {
      assert.ok(offset + inFile <= image.length);
      assert.ok(inFile <= inMemory);
      assert.equal(align, PAGE);
      assert.equal(address % align, offset % align);
    }
    const [first, second] = loaded.toSorted((a, b) => a.address - b.address);
    assert.ok(Math.ceil((first!.address + first!.inMemory) / PAGE) * PAGE <= second!.address);
  });

  Deno.test(`${arch}: execution starts at the interpreter, which is all there is to execute`, () => {
    const entry = Number(new DataView(image.buffer).getBigUint64(24, true));
    const code = loaded.find((s) => s.flags & X)!;
    const start = entry - code.address + code.offset;
    assert.ok(entry >= CODE_ADDRESS);
    assert.deepEqual(image.slice(start, code.offset + code.inFile), interpreter(arch));
  });

  Deno.test(`${arch}: a whole sandbox takes less than 108 KB and most of its memory costs nothing`, () => {
    assert.ok(image.length < 108 * 1024, `${image.length} bytes`);
    assert.ok(image.length > 20_000, "a plan of this size cannot be smaller: is anything in it?");
    const data = loaded.find((s) => s.flags & W)!;
    assert.ok(data.inMemory - data.inFile >= 65536, "the pump's buffers are not in the file");
  });

  Deno.test(`${arch}: equal programs make equal images`, () => {
    const again = writeImage(sandboxProgram(madeUpPlan({ arch, rawStdio: false })));
    assert.ok(image.every((byte, i) => byte === again[i]) && image.length === again.length);
  });

  test(`${arch}: readelf finds nothing to complain about`, { needs: [program("readelf")] }, async () => {
    const path = `${place()}/${arch}`;
    await Deno.writeFile(path, image, { createNew: true });
    const { code, stdout, stderr } = await run(["readelf", "-W", "-h", "-l", path]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /Type: +EXEC/);
    assert.match(stdout, arch === "x86_64" ? /Machine: .*X86-64/ : /Machine: +AArch64/);
    const flags = [...stdout.matchAll(/^ +(LOAD|GNU_STACK) .* (R[ W][ E]) 0x[0-9a-f]+$/gm)].map((m) =>
      `${m[1]} ${m[2]}`
    );
    assert.deepEqual(flags.sort(), ["GNU_STACK RW ", "LOAD R E", "LOAD RW "]);
  });
}

Deno.test("a label that is used and never placed is an error with its name", () => {
  const p = new Program("x86_64");
  p.goto(p.label("nowhere"));
  assert.throws(() => writeImage(p), /label nowhere is used and never placed/);
});

Deno.test("a label is placed once", () => {
  const p = new Program("x86_64");
  const here = p.place(p.label("here"));
  assert.throws(() => p.place(here), /label here is placed twice/);
});

Deno.test("equal strings share one place, equal buffers do not", () => {
  const p = new Program("x86_64");
  assert.deepEqual(p.string("/proc"), p.string("/proc"));
  assert.notDeepEqual(p.string("/proc"), p.string("/pro"));
  const [a, b] = [p.buffer(4096), p.buffer(4096)];
  assert.ok(Math.abs(a.offset - b.offset) >= 4096);
});

Deno.test("a zeroed buffer adds nothing to the file, whatever its size", () => {
  const image = (bytes: number) => {
    const p = new Program("x86_64");
    p.buffer(bytes);
    p.exit(0);
    return writeImage(p);
  };
  const small = image(512), big = image(64 << 20);
  assert.equal(big.length, small.length);
  const memory = (of: Uint8Array<ArrayBuffer>) => segments(of).reduce((sum, s) => sum + s.inMemory, 0);
  assert.ok(memory(big) - memory(small) >= (64 << 20) - 512 - 64);
});

Deno.test("the simulator loads what the image says and faults outside it", () => {
  const p = new Program("x86_64");
  p.load(p.slot(), 0x1000);
  assert.throws(() => load(writeImage(p)).run(), /segmentation fault at 0x1000/);
  const q = new Program("x86_64");
  q.store(CODE_ADDRESS, 0);
  assert.throws(() => load(writeImage(q)).run(), /write to read-only 0x400000/);
});
