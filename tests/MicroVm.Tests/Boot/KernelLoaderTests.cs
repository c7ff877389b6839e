using MicroVm.Boot;
using MicroVm.Devices;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Boot;

public sealed class KernelLoaderTests(BootFixture fixture) : IClassFixture<BootFixture>
{
    [Fact]
    public void OnePageElfIsEnteredByItsNote()
    {
        byte[] file = TestImages.OnePage([0xb0, 0x2a, 0xe6, 0xf4, 0xf4]);
        Assert.True(file.Length < 300);
        GuestMemory memory = fixture.Guest(1 << 21);
        LoadedKernel kernel = fixture.Load(file, memory);
        Assert.Equal((BootMode.Pvh32, 0x100000ul, 0x100005ul, KernelOrigin.Copied), (kernel.Mode, kernel.Entry, kernel.End, kernel.Origin));
        Assert.Equal([0xb0, 0x2a, 0xe6, 0xf4, 0xf4], BootFixture.Bytes(memory, 0x100000, 5));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Elf64IsLoadedWithAndWithoutNote(bool pvh)
    {
        GuestMemory memory = fixture.Guest();
        LoadedKernel kernel = fixture.Load(TestImages.Kernel(pvh), memory);
        Assert.Equal(pvh ? BootMode.Pvh32 : BootMode.Linux64, kernel.Mode);
        Assert.Equal(TestImages.LoadAddress + (pvh ? 0x20ul : 0x10), kernel.Entry);
        Assert.Equal((TestImages.LoadAddress, TestImages.LoadAddress + 0x210000), (kernel.Start, kernel.End));
        Same(TestImages.Kernel(pvh), memory);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ABzImageWithoutAPayloadIsEnteredByItsProtectedModeCode(bool wide)
    {
        byte[] file = TestImages.Plain(wide);
        GuestMemory memory = fixture.Guest();
        LoadedKernel kernel = fixture.Load(file, memory);
        Assert.Equal((wide ? BootMode.Linux64 : BootMode.Linux32, KernelOrigin.Copied), (kernel.Mode, kernel.Origin));
        Assert.Equal((TestImages.LoadAddress, TestImages.LoadAddress + 0x6acf8), (kernel.Start, kernel.End));
        Assert.Equal(TestImages.LoadAddress + (wide ? 0x200ul : 0), kernel.Entry);
        Assert.Equal(file[1024..], BootFixture.Bytes(memory, TestImages.LoadAddress, file.Length - 1024));
    }

    [Fact]
    public void TheThirtyTwoBitEntryHasFlatSegmentsAndTheZeroPage()
    {
        using BootFile file = BootFile.OpenKernel(fixture.Write(TestImages.Plain(wide: false), "plain"));
        GuestMemory memory = fixture.Guest();
        BootSource source = new("", null, "console=ttyS0", UseCache: false);
        BootState state = BootLoader.Load(memory, file, source, 0xe0000, [], out _);
        Assert.Equal((BootMode.Linux32, TestImages.LoadAddress), (state.Mode, state.InstructionPointer));
        Assert.Equal((0x2000ul, 0ul), (state.Rsi, state.Rbx));
        Assert.Equal((0ul, (Efer)0, Cr0.ProtectionEnable | Cr0.ExtensionType), (state.Cr3, state.Efer, state.Cr0));
        // __BOOT_CS and __BOOT_DS: what the code may load again.
        Assert.Equal((0x10, false, true), (state.Code.Selector, state.Code.Long, state.Code.Wide));
        Assert.Equal(0x18, state.Data.Selector);
        Assert.Equal(0x00cf_9b00_0000_fffful, BootFixture.Value<ulong>(memory, state.GdtBase + 0x10));
        Assert.Equal(0x00cf_9300_0000_fffful, BootFixture.Value<ulong>(memory, state.GdtBase + 0x18));
        Assert.Equal(0x1800u, BootFixture.Value<uint>(memory, 0x2228));
    }

    [NeedsXzTheory]
    [InlineData("lzma")]
    [InlineData("xz")]
    [InlineData("xz-blocks")]
    [InlineData("xz-plain")]
    public void LzmaAndXzAreUnpacked(string compression) => IsUnpacked(compression);

    [Theory]
    [InlineData("gzip")]
    [InlineData("bzip2")]
    [InlineData("lz4")]
    [InlineData("lz4-library")]
    [InlineData("zstd")]
    public void EveryOtherCompressionIsUnpacked(string compression) => IsUnpacked(compression);

    private void IsUnpacked(string compression)
    {
        byte[] elf = TestImages.Kernel();
        GuestMemory memory = fixture.Guest();
        LoadedKernel kernel = fixture.Load(TestImages.Packed(compression, elf), memory);
        Assert.Equal((BootMode.Pvh32, KernelOrigin.Unpacked), (kernel.Mode, kernel.Origin));
        Assert.Equal(2047u, kernel.Header!.Value.CommandLineSize);
        Same(elf, memory);
    }

    [Fact]
    public void Lz4WithManyBlocksIsUnpacked()
    {
        byte[] elf = TestImages.Kernel(size: 20 << 20);
        byte[] far = TestImages.Elf64(TestImages.LoadAddress, new TestImages.Segment(TestImages.LoadAddress, elf, (ulong)elf.Length));
        GuestMemory memory = fixture.Guest();
        fixture.Load(TestImages.Packed("lz4", far), memory);
        Assert.True(elf.AsSpan().SequenceEqual(BootFixture.Bytes(memory, TestImages.LoadAddress, elf.Length)));
    }

    [Fact]
    public void LzoIsRefusedByName() => fixture.Refused(TestImages.BzImage([0x89, 0x4c, 0x5a, 0x4f, .. new byte[60]], 4096), "lzo");

    [Fact]
    public void ADescriptorIsAsGoodAsAPath()
    {
        string path = fixture.Write(TestImages.Kernel(), "by-descriptor");
        int fd = MicroVm.Kvm.Libc.Open(path, MicroVm.Kvm.Libc.O_RDONLY);
        using BootFile file = BootFile.FromDescriptor(fd, "descriptor 3");
        Assert.Equal(BootMode.Pvh32, KernelLoader.Load(fixture.Guest(), file, null).Mode);
    }

    private static void Same(byte[] elf, GuestMemory memory)
    {
        for (int i = 0; i < 2; i++)
        {
            int row = 64 + 56 * i, offset = (int)BitConverter.ToUInt64(elf, row + 8), size = (int)BitConverter.ToUInt64(elf, row + 32);
            byte[] bytes = BootFixture.Bytes(memory, BitConverter.ToUInt64(elf, row + 24), (int)BitConverter.ToUInt64(elf, row + 40));
            Assert.True(elf.AsSpan(offset, size).SequenceEqual(bytes.AsSpan(0, size)));
            Assert.False(bytes.AsSpan(size).ContainsAnyExcept((byte)0));
        }
    }
}
