// The shim's interpreter, aarch64. The layout of the data segment and of an operation is told in interpreter-x86_64.S.
// `interpreter.ts` holds the bytes this assembles to; a test compares them.
// Registers: x19 is the current operation, for ever.
.set D, 0x601000
.globl _start
_start:
    movz    x19, #(D & 0xffff)
    movk    x19, #(D >> 16), lsl 16
    mov     x9, sp
    str     x9, [x19], #16
next:                                   // load the six arguments, dereferencing those whose mask bit is set
    ldr     w9, [x19, #8]
    ldp     x0, x1, [x19, #16]
    ldp     x2, x3, [x19, #32]
    ldp     x4, x5, [x19, #48]
    tbz     w9, #0, 1f
    ldr     x0, [x0]
1:  tbz     w9, #1, 2f
    ldr     x1, [x1]
2:  tbz     w9, #2, 3f
    ldr     x2, [x2]
3:  tbz     w9, #3, 4f
    ldr     x3, [x3]
4:  tbz     w9, #4, 5f
    ldr     x4, [x4]
5:  tbz     w9, #5, 6f
    ldr     x5, [x5]
6:  ldr     x8, [x19]
    tbnz    x8, #63, compute
    svc     #0
    cmn     x0, #4095
    b.cs    fail
put:                                    // result of a call or a computation
    ldr     x9, [x19, #64]
    cbz     x9, skip
    str     x0, [x9]
skip:
    add     x19, x19, #96
    b       next
fail:
    movz    x9, #(D & 0xffff)
    movk    x9, #(D >> 16), lsl 16
    stp     x0, x19, [x9]
    ldr     x19, [x19, #72]
    b       next
compute:                                // x8 counts the code up to zero
    adds    x8, x8, #1
    b.eq    put                         // mov
    adds    x8, x8, #1
    b.ne    3f
    add     x0, x0, x1
    b       put
3:  adds    x8, x8, #1
    b.ne    4f
    sub     x0, x0, x1
    b       put
4:  adds    x8, x8, #1
    b.ne    5f
    and     x0, x0, x1
    b       put
5:  adds    x8, x8, #1
    b.ne    6f
    lsr     x0, x0, x1
    b       put
6:  adds    x8, x8, #1
    b.ne    7f
    lsl     x0, x0, x1
    b       put
7:  adds    x8, x8, #1
    b.ne    8f
    ldr     x0, [x0]                    // load
    b       put
8:  adds    x8, x8, #1
    b.ne    9f
    str     x1, [x0]                    // store
    b       skip
9:  adds    x8, x8, #1
    b.ne    10f
    cmp     x0, x1
    b.eq    take
    b       skip
10: adds    x8, x8, #1
    b.ne    11f
    cmp     x0, x1
    b.ne    take
    b       skip
11: cmp     x0, x1
    b.ge    skip
take:
    mov     x19, x2
    b       next
