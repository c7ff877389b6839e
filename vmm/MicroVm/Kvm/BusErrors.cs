using System.Buffers.Binary;
using MicroVm.Memory;

namespace MicroVm.Kvm;

/// <summary>What happens when this process touches a page of a mapped file that is not there any more (SIGBUS): inside watched ranges the page becomes zeros of this process alone, and the access goes on; elsewhere it stays the end of the process.</summary>
/// <remarks>A managed handler could fail the process when the thread is in managed code, so the handler is a page of machine code (as with <see cref="KickSignal"/>), made for the first range. It looks through a table of
/// (first byte, end, hits), which ends with a zero, calls <c>mmap</c> for the page, and leaves all else to the handler that was there before.</remarks>
internal static unsafe class BusErrors
{
    private const int Signal = 7, SigInfo = 4, OnStack = 0x0800_0000;
    private const int Page = 4096, MaxRanges = Page / RowBytes - 1, RowBytes = 24;

    private static readonly Lock Gate = new();
    private static ulong* s_table;

    /// <summary>From now on a missing page of the range becomes zeros.</summary>
    /// <exception cref="MicroVmException">The host refuses, or there are too many ranges.</exception>
    internal static void Watch(in MemoryRegion range)
    {
        lock (Gate)
        {
            if (s_table == null) Install();
            int row = 0;
            while (s_table[3 * row] > 1) row++;
            if (row == MaxRanges) throw MicroVmException.Host("too many files as memory of guests in one process", $"{MaxRanges}", "Start another process");
            // The first byte makes the row valid; a row in which it is 1 matches nothing.
            s_table[3 * row + 1] = (ulong)range.HostAddress + range.Length;
            s_table[3 * row + 2] = 0;
            Volatile.Write(ref s_table[3 * row], (ulong)range.HostAddress);
        }
    }

    /// <summary>The range is not watched any more, and nothing touches it.</summary>
    internal static void Forget(in MemoryRegion range)
    {
        if (Row(range) is var row and >= 0)
        {
            s_table[3 * row + 1] = 1;
            Volatile.Write(ref s_table[3 * row], 1);
        }
    }

    /// <summary>A page of the range was missing.</summary>
    internal static bool Hit(in MemoryRegion range) => Row(range) is var row and >= 0 && Volatile.Read(ref s_table[3 * row + 2]) != 0;

    private static int Row(in MemoryRegion range)
    {
        lock (Gate)
        {
            for (int row = 0; s_table != null && range.Length != 0 && s_table[3 * row] != 0; row++)
            {
                if (s_table[3 * row] == (ulong)range.HostAddress) return row;
            }
            return -1;
        }
    }

    private static void Install()
    {
        // SAFETY: two pages that are never freed, as a signal may come at any time; the first is only executed once it is written.
        byte* pages = (byte*)Libc.mmap(null, 2 * Page, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        Libc.SigAction before = default;
        if (pages == Libc.MapFailed || Libc.sigaction(Signal, null, &before) != 0) throw Failed();
        ulong* table = (ulong*)(pages + Page);
        Write(new Span<byte>(pages, Page), (ulong)table, (ulong)before.Handler);
        Libc.SigAction action = new() { Handler = pages, Flags = before.Flags | SigInfo | OnStack };
        for (int i = 0; i < 16; i++) action.Mask[i] = before.Mask[i];
        if (Libc.mprotect(pages, Page, Libc.PROT_READ | Libc.PROT_EXEC) != 0 || Libc.sigaction(Signal, &action, null) != 0) throw Failed();
        s_table = table;
    }

    private static void Write(Span<byte> code, ulong table, ulong before)
    {
        ReadOnlySpan<byte> look =
        [
            0x48, 0x8b, 0x46, 0x10,                         // mov rax, [rsi+16]        siginfo: the address
            0x49, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,             // mov r8, table
            0x49, 0x8b, 0x08,                               // look: mov rcx, [r8]
            0x48, 0x85, 0xc9,                               // test rcx, rcx
            0x74, 0x40,                                     // jz other                 the end of the table
            0x48, 0x39, 0xc8,                               // cmp rax, rcx
            0x72, 0x35,                                     // jb next
            0x49, 0x3b, 0x40, 0x08,                         // cmp rax, [r8+8]
            0x73, 0x2f,                                     // jae next
            0xf0, 0x49, 0xff, 0x40, 0x10,                   // lock inc qword [r8+16]
            0x48, 0x25, 0x00, 0xf0, 0xff, 0xff,             // and rax, -4096
            0x48, 0x89, 0xc7,                               // mov rdi, rax
            0xbe, 0x00, 0x10, 0x00, 0x00,                   // mov esi, 4096
            0xba, 0x03, 0x00, 0x00, 0x00,                   // mov edx, PROT_READ | PROT_WRITE
            0x41, 0xba, 0x32, 0x00, 0x00, 0x00,             // mov r10d, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
            0x41, 0xb8, 0xff, 0xff, 0xff, 0xff,             // mov r8d, -1
            0x45, 0x31, 0xc9,                               // xor r9d, r9d
            0xb8, 0x09, 0x00, 0x00, 0x00,                   // mov eax, mmap
            0x0f, 0x05,                                     // syscall
            0xc3,                                           // ret
            0x49, 0x83, 0xc0, 0x18,                         // next: add r8, 24
            0xeb, 0xb8,                                     // jmp look
            0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,             // other: mov rax, before
            0xff, 0xe0,                                     // jmp rax
        ];
        look.CopyTo(code);
        BinaryPrimitives.WriteUInt64LittleEndian(code[6..], table);
        BinaryPrimitives.WriteUInt64LittleEndian(code[(look.Length - 10)..], before);
    }

    private static MicroVmException Failed() => KvmVm.Failed("cannot guard the mapped file", "sigaction", "Run 'microvm doctor'");
}
