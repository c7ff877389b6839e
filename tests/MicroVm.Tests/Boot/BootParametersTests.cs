using System.Text;
using MicroVm.Boot;
using MicroVm.Devices;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Boot;

/// <summary>What the guest finds in its low memory. Offsets and numbers are written out here a second time, from the specifications.</summary>
public sealed class BootParametersTests(BootFixture fixture) : IClassFixture<BootFixture>
{
    private const ulong Rsdp = 0xe0000;

    [Fact]
    public void PvhStartInfoIsAsSpecified()
    {
        GuestMemory memory = fixture.Guest();
        BootState state = Load(memory, TestImages.Kernel(), "console=ttyS0 quiet", new byte[10_000]);
        Assert.Equal((BootMode.Pvh32, TestImages.LoadAddress + 0x20, 0x1000ul, 0ul), (state.Mode, state.InstructionPointer, state.Rbx, state.Cr3));
        Assert.Equal((0x11u, 0u, 0u), ((uint)state.Cr0, (uint)state.Cr4, (uint)state.Efer));
        ulong info = state.Rbx;
        Assert.Equal((0x336ec578u, 1u, 0u, 1u), (Word(memory, info), Word(memory, info + 4), Word(memory, info + 8), Word(memory, info + 12)));
        ulong module = Long(memory, info + 16), size = Long(memory, module + 8);
        Assert.Equal((0x3ffd000ul, 10_000ul), (Long(memory, module), size));
        Assert.Equal("console=ttyS0 quiet", Text(memory, Long(memory, info + 24)));
        Assert.Equal(Rsdp, Long(memory, info + 32));
        ulong map = Long(memory, info + 40);
        Assert.Equal(3u, Word(memory, info + 48));
        Assert.Equal((0ul, 0x9fc00ul, 1u), (Long(memory, map), Long(memory, map + 8), Word(memory, map + 16)));
        Assert.Equal((0x9fc00ul, 0x60400ul, 2u), (Long(memory, map + 24), Long(memory, map + 32), Word(memory, map + 40)));
        Assert.Equal((0x100000ul, 0x3f00000ul, 1u), (Long(memory, map + 48), Long(memory, map + 56), Word(memory, map + 64)));
    }

    [Fact]
    public void ZeroPageIsAsSpecified()
    {
        GuestMemory memory = fixture.Guest();
        BootState state = Load(memory, TestImages.Packed("gzip", TestImages.Kernel(pvh: false)), "root=/dev/vda", new byte[5000]);
        Assert.Equal((BootMode.Linux64, TestImages.LoadAddress + 0x10, 0x2000ul), (state.Mode, state.InstructionPointer, state.Rsi));
        Assert.Equal((0x80000011u, 0x20u, 0x500u), ((uint)state.Cr0, (uint)state.Cr4, (uint)state.Efer));
        ulong page = state.Rsi;
        Assert.Equal((0xaa55, 0x53726448u, 0x020f), (BootFixture.Value<ushort>(memory, page + 0x1fe), Word(memory, page + 0x202), BootFixture.Value<ushort>(memory, page + 0x206)));
        Assert.Equal((0xff, 1), (BootFixture.Value<byte>(memory, page + 0x210), BootFixture.Value<byte>(memory, page + 0x211)));
        Assert.Equal((0x3ffe000u, 5000u), (Word(memory, page + 0x218), Word(memory, page + 0x21c)));
        // It is Linux: it has a setup header.
        Assert.Equal("panic=-1 root=/dev/vda", Text(memory, Word(memory, page + 0x228)));
        Assert.Equal((Rsdp, 3), (Long(memory, page + 0x70), BootFixture.Value<byte>(memory, page + 0x1e8)));
        Assert.Equal((0x100000ul, 0x3f00000ul, 1u), (Long(memory, page + 0x2d0 + 40), Long(memory, page + 0x2d0 + 48), Word(memory, page + 0x2d0 + 56)));
        // The setup header of the file, and nothing of what is around it.
        Assert.Equal((0x1000000ul, 0x7fffffffu, 0ul), (Long(memory, page + 0x258), Word(memory, page + 0x22c), Long(memory, page)));
        Assert.Equal((0x1700ul, 0x00af9b000000fffful, 0x00cf93000000fffful), (state.GdtBase, Long(memory, state.GdtBase + 0x10), Long(memory, state.GdtBase + 0x18)));
    }

    [Fact]
    public void PageTablesMapFourGibibytesOntoThemselves()
    {
        GuestMemory memory = fixture.Guest();
        BootState state = Load(memory, TestImages.Kernel(pvh: false), "", null);
        foreach (ulong address in (ulong[])[0, 0x1234_5678, 0x4000_0000, 0xbfff_ffff, 0xffff_ffff])
        {
            ulong table = state.Cr3;
            foreach (int shift in (int[])[39, 30])
            {
                ulong entry = Long(memory, table + (address >> shift & 511) * 8);
                Assert.Equal(3ul, entry & 0xfff);
                table = entry & ~0xffful;
            }
            Assert.Equal(address & ~0x1ffffful | 0x83, Long(memory, table + (address >> 21 & 511) * 8));
        }
        Assert.Equal(0x53726448u, Word(memory, state.Rsi + 0x202));
    }

    [Fact]
    public void CommandLineLengthIsChecked()
    {
        GuestMemory memory = fixture.Guest();
        CommandLine.Write(memory, "");
        Assert.Equal("", Text(memory, BootLayout.CommandLine));
        string full = new('x', 2045);
        CommandLine.Write(memory, full + "ü");
        Assert.Equal(full + "ü", Text(memory, BootLayout.CommandLine));
        Assert.Equal(0, BootFixture.Value<byte>(memory, 0x1fff));
        Assert.Contains("2048 bytes of at most 2047", Usage(() => CommandLine.Write(memory, full + "xxx")), StringComparison.Ordinal);
        Assert.Contains("2048 bytes", Usage(() => CommandLine.Write(memory, full + "xü")), StringComparison.Ordinal);
        Assert.Contains("NUL", Usage(() => CommandLine.Write(memory, "quiet\0init=/x")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1ul << 20, "0-9fc00:1 9fc00-100000:2")]
    [InlineData(3ul << 30, "0-9fc00:1 9fc00-100000:2 100000-c0000000:1 d0000000-e0000000:2")]
    [InlineData((3ul << 30) - 4096, "0-9fc00:1 9fc00-100000:2 100000-bffff000:1 d0000000-e0000000:2")]
    [InlineData((3ul << 30) + 4096, "0-9fc00:1 9fc00-100000:2 100000-c0000000:1 d0000000-e0000000:2 100000000-100001000:1")]
    [InlineData(64ul << 30, "0-9fc00:1 9fc00-100000:2 100000-c0000000:1 d0000000-e0000000:2 100000000-1040000000:1")]
    public void MemoryMapFollowsTheRegions(ulong size, string expected)
    {
        ulong low = Math.Min(size, 0xc000_0000);
        MemoryRegion[] regions = size == low ? [new(0, low, 0)] : [new(0, low, 0), new(0x1_0000_0000, size - low, 0)];
        MemoryMapEntry[] reserved = size > 1 << 20 ? [new(0xd000_0000, 0x1000_0000, MemoryType.Reserved)] : [];
        MemoryMapEntry[] map = new MemoryMapEntry[8];
        int count = MemoryMap.Build(regions, reserved, map);
        Assert.Equal(expected, string.Join(' ', map.Take(count).Select(e => $"{e.Start:x}-{e.Start + e.Length:x}:{(uint)e.Type}")));
    }

    [Fact]
    public void ReservedRangesCutRam()
    {
        MemoryMapEntry[] map = new MemoryMapEntry[8];
        MemoryMapEntry[] inside = [new(0x200000, 0x100000, MemoryType.Acpi)];
        int count = MemoryMap.Build([new MemoryRegion(0, 0x800000, 0)], inside, map);
        Assert.Equal("0-9fc00 9fc00-100000 100000-200000 200000-300000 300000-800000", string.Join(' ', map.Take(count).Select(e => $"{e.Start:x}-{e.Start + e.Length:x}")));
        Assert.Throws<ArgumentException>(() => MemoryMap.Build([new MemoryRegion(0, 0x800000, 0)], [new MemoryMapEntry(0x1000, 0x1000, MemoryType.Reserved)], map));
    }

    [Fact]
    public void LessThanAMebibyteIsRefused() =>
        Assert.Contains("too little memory", Usage(() => Load(fixture.Guest(0xff000), TestImages.OnePage(), "", null)), StringComparison.Ordinal);

    private BootState Load(GuestMemory memory, byte[] kernel, string commandLine, byte[]? initrd) => BootLoader.Load(
        memory, new BootSource(fixture.Write(kernel, "kernel"), initrd is null ? null : fixture.Write(initrd, "initrd"), commandLine, UseCache: false), Rsdp, []);

    private static string Usage(Action action)
    {
        var e = Assert.Throws<MicroVmException>(action);
        Assert.Equal(FailureKind.Usage, e.Kind);
        return e.Message;
    }

    private static uint Word(GuestMemory memory, ulong address) => BootFixture.Value<uint>(memory, address);

    private static ulong Long(GuestMemory memory, ulong address) => BootFixture.Value<ulong>(memory, address);

    private static string Text(GuestMemory memory, ulong address)
    {
        byte[] bytes = BootFixture.Bytes(memory, address, 2048);
        return Encoding.UTF8.GetString(bytes, 0, Array.IndexOf(bytes, (byte)0));
    }
}
