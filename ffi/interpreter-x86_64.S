# The shim's interpreter, x86_64. `interpreter.ts` holds the bytes this assembles to; a test compares them:
#     as --64 interpreter-x86_64.S -o i.o && ld -N -Ttext=0x400200 i.o … / objcopy -O binary -j .text i.o i.bin
#
# The data segment starts at D:
#     D+0   at start: the stack pointer the kernel gave (argc, argv, envp, auxv); later: errno of the last failure, negative
#     D+8   address of the operation that failed
#     D+16  the first operation
# An operation is twelve 8-byte words:
#     0      code: >= 0 a system call number; -1 mov -2 add -3 sub -4 and -5 shr -6 shl -7 load -8 store -9 beq -10 bne -11 blt (signed)
#     1      mask: bit i set means word 2+i is the address of a slot whose value is the argument
#     2..7   arguments
#     8      address of the slot that takes the result, or 0
#     9      operation to go to when a system call fails
#     10,11  address and length of the words that describe the step in a failure message
# Registers: rbx is the current operation, for ever.
.intel_syntax noprefix
.set D, 0x601000
.globl _start
_start:
    mov     [D], rsp
    mov     ebx, D + 16
next:                                   # push arguments 5..0, dereferencing those whose mask bit is set
    push    5
    pop     rcx
argument:
    mov     rax, [rbx + rcx*8 + 16]
    bt      dword ptr [rbx + 8], ecx
    jnc     1f
    mov     rax, [rax]
1:  push    rax
    dec     ecx
    jns     argument
    pop     rdi
    pop     rsi
    pop     rdx
    pop     r10
    pop     r8
    pop     r9
    mov     rax, [rbx]
    test    eax, eax
    js      compute
    syscall
    cmp     rax, -4095
    jae     fail
put:                                    # result of a call or a computation
    mov     rcx, [rbx + 64]
    jrcxz   skip
    mov     [rcx], rax
skip:
    add     rbx, 96
    jmp     next
fail:
    mov     [D], rax
    mov     [D + 8], rbx
    mov     rbx, [rbx + 72]
    jmp     next
compute:                                # a0 in rax and rdi's place, a1 in rsi, a2 in rdx; edi counts the code up to zero
    xchg    rax, rdi
    mov     ecx, esi
    inc     edi
    jz      put                         # mov
    inc     edi
    jnz     3f
    add     rax, rsi
    jmp     put
3:  inc     edi
    jnz     4f
    sub     rax, rsi
    jmp     put
4:  inc     edi
    jnz     5f
    and     rax, rsi
    jmp     put
5:  inc     edi
    jnz     6f
    shr     rax, cl
    jmp     put
6:  inc     edi
    jnz     7f
    shl     rax, cl
    jmp     put
7:  inc     edi
    jnz     8f
    mov     rax, [rax]                  # load
    jmp     put
8:  inc     edi
    jnz     9f
    mov     [rax], rsi                  # store
    jmp     skip
9:  inc     edi
    jnz     10f
    cmp     rax, rsi
    je      take
    jmp     skip
10: inc     edi
    jnz     11f
    cmp     rax, rsi
    jne     take
    jmp     skip
11: cmp     rax, rsi
    jge     skip
take:
    mov     rbx, rdx
    jmp     next
