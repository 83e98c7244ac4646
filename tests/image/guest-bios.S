# The whole system of a guest with emulated hardware: a boot sector, which writes its name and a
# running number to its own sector of the second disk, five times a second, for ever. Its writes go
# through the firmware and an emulated IDE disk, so the device model in dom0 performs them. Linux
# would take minutes to come up there without KVM.
#
# Who makes a boot disk of it puts the node's name, eight characters filled up with spaces, at its
# byte 440, and the number of the sector, one byte, at 448.
    .intel_syntax noprefix
    .code16
    .globl _start
_start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cld
    mov di, 0x8000              # the sector to write: all spaces, and a line's end
    mov cx, 511
    mov al, 0x20
    rep stosb
    mov byte ptr [di], 0x0a
    mov si, 0x7c00 + 440
    mov di, 0x8000
    mov cx, 8
    rep movsb
    mov al, 0x20                # of its first 9 bytes the name, of the next 8 the number
    stosb
    mov al, 0x30
    mov cx, 8
    rep stosb
    mov al, [0x7c00 + 448]
    mov [0x7c00 + 424 + 8], al
next:
    mov si, 0x8000 + 16
digit:
    inc byte ptr [si]
    cmp byte ptr [si], 0x39
    jbe write
    mov byte ptr [si], 0x30
    dec si
    jmp digit
write:
    mov si, 0x7c00 + 424        # the packet below
    mov ax, 0x4300              # extended write
    mov dl, 0x81                # the second disk
    int 0x13
    mov ax, 0x8600              # wait 200 ms
    mov cx, 3
    mov dx, 0x0d40
    int 0x15
    jmp next

    .org 424
    .byte 16, 0                 # the packet's size
    .word 1                     # one sector
    .word 0x8000, 0             # from here
    .quad 0                     # to this one
    .org 510
    .word 0xaa55
