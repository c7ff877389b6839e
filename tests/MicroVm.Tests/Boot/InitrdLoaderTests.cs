using MicroVm.Boot;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Tests.Boot;

public sealed class InitrdLoaderTests(BootFixture fixture) : IClassFixture<BootFixture>
{
    private const ulong KernelEnd = 0x345_678;

    [Theory]
    [InlineData(1, 0x3fff000)]
    [InlineData(4096, 0x3fff000)]
    [InlineData(4097, 0x3ffe000)]
    [InlineData(0x3cba000, 0x346000)]
    public void LiesAsHighAsItFits(int size, ulong address)
    {
        byte[] bytes = new byte[size];
        new Random(size).NextBytes(bytes);
        GuestMemory memory = fixture.Guest();
        LoadedInitrd initrd = Load(memory, bytes, ulong.MaxValue);
        Assert.Equal((address, (ulong)size), (initrd.Address, initrd.Size));
        Assert.True(bytes.AsSpan().SequenceEqual(BootFixture.Bytes(memory, address, size)));
    }

    [Fact]
    public void LiesBelowTheKernelsLimit() => Assert.Equal(0x1fff000ul, Load(fixture.Guest(), new byte[100], 0x1ffffff).Address);

    [Fact]
    public void LiesBelowTheHole()
    {
        using GuestMemory memory = GuestMemory.Allocate(128 << 20, 64 << 20, 0x1_0000_0000);
        Assert.Equal(0x3fff000ul, Load(memory, new byte[100], ulong.MaxValue).Address);
    }

    [Theory]
    [InlineData(0x3cba001)]
    [InlineData(0x4000000)]
    [InlineData(0x8000000)]
    public void TooBigIsRefusedWithWhatItNeeds(int size)
    {
        ulong mebibytes = ((ulong)size + 0x346000 + 0xfffff) >> 20;
        Assert.Contains($"--memory {mebibytes}M", Refused(fixture.Guest(), size, 0x7fffffff).Message, StringComparison.Ordinal);
    }

    // What the hole or the kernel's limit leaves no room for, no amount of memory makes room for.
    [Theory]
    [InlineData(1, 0xbfcb_a001, uint.MaxValue)]
    [InlineData(3, 0xbfcb_a001, uint.MaxValue)]
    [InlineData(8, 0xbfcb_a001, uint.MaxValue)]
    [InlineData(8, 0xc000_0000, ulong.MaxValue)]
    [InlineData(8, 0x2_0000_0000, ulong.MaxValue)]
    [InlineData(8, 0x8000_0000, 0x7fff_ffff)]
    public void WhatNeverFitsIsRefusedWithoutAskingForMemory(ulong gibibytes, long size, ulong highest)
    {
        MicroVmException e = Refused(fixture.Guest(gibibytes << 30), size, highest);
        Assert.Contains("Give a smaller one", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("--memory", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatFitsBelowTheHoleAsksForThatMuch() => Assert.Contains("--memory 3072M", Refused(fixture.Guest(), 0xbfcb_a000, uint.MaxValue).Message, StringComparison.Ordinal);

    [Fact]
    public void WhatIsNoFileIsRefused()
    {
        Assert.Contains("a directory", Assert.Throws<MicroVmException>(() => BootFile.OpenInitrd("/")).Message, StringComparison.Ordinal);
        Assert.Contains("--initrd", Assert.Throws<MicroVmException>(() => BootFile.OpenInitrd("missing")).Message, StringComparison.Ordinal);
        Assert.Contains("is empty", Assert.Throws<MicroVmException>(() => BootFile.OpenInitrd(fixture.Write([], "empty"))).Message, StringComparison.Ordinal);
    }

    private static LoadedKernel Kernel =>
        new(BootMode.Pvh32, 0x100000, 0x100000, KernelEnd, null, KernelOrigin.Copied, IsLinux: true);

    private MicroVmException Refused(GuestMemory memory, long size, ulong highest)
    {
        string path = fixture.Write([1], "big");
        using (FileStream file = File.OpenWrite(path)) file.SetLength(size);
        using BootFile initrd = BootFile.OpenInitrd(path);
        var e = Assert.Throws<MicroVmException>(() => InitrdLoader.Load(memory, initrd, Kernel, highest));
        Assert.Equal(FailureKind.Image, e.Kind);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
        return e;
    }

    private LoadedInitrd Load(GuestMemory memory, byte[] bytes, ulong highest)
    {
        using BootFile file = BootFile.OpenInitrd(fixture.Write(bytes, "initrd"));
        return InitrdLoader.Load(memory, file, Kernel, highest);
    }
}
