using System.Buffers.Binary;
using MicroVm;

namespace Guest.Tests;

/// <summary>Images without a payload are entered as the Linux boot protocol says.</summary>
public sealed class EntryTests
{
    private const int CodeAt = 1024, Entry64 = 0x200, Address = 0x100000;

    [KvmTheory]
    [InlineData(true, 64)]
    [InlineData(false, 32)]
    public void AnImageWithoutAPayloadIsEnteredInTheModeOfItsHeader(bool wide, int expected)
    {
        byte[] image = new byte[CodeAt + 0x400];
        image[0x1f1] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x1fe), 0xaa55);
        (image[0x200], image[0x201]) = (0xeb, 0x66);
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x206), 0x20c);
        image[0x211] = 1;
        image[0x236] = (byte)(wide ? 1 : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x258), Address);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x260), 0x10000);
        Code(expectedMode: 32).CopyTo(image, CodeAt);
        Code(expectedMode: 64).CopyTo(image, CodeAt + Entry64);
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, image);
        try
        {
            MachineOptions options = new() { Kernel = path, MemoryBytes = 16 << 20, KernelCache = false };
            MachineResult end = Machines.Run(options);
            Assert.Equal((EndReason.GuestExit, expected), (end.Reason, end.ExitCode));
        }
        finally
        {
            File.Delete(path);
        }
    }

    // Loads the data segment of the protocol anew, finds the magic number of the zero page, and ends with the number of
    // its mode; with 1 if it is not there.
    private static byte[] Code(int expectedMode) =>
    [
        0x66, 0xb8, 0x18, 0x00,                                        // mov ax, __BOOT_DS
        0x8e, 0xd8,                                                    // mov ds, ax
        0xb0, 0x01,                                                    // mov al, 1
        0x81, 0xbe, 0x02, 0x02, 0x00, 0x00, 0x48, 0x64, 0x72, 0x53,    // cmp dword [rsi+0x202], "HdrS"
        0x75, 0x02,                                                    // jne end
        0xb0, (byte)expectedMode,                                      // mov al, mode
        0xe6, 0xf4,                                                    // end: out 0xf4, al
        0xf4,                                                          // hlt
    ];
}
