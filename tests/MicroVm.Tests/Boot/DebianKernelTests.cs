using System.Diagnostics;
using MicroVm.Boot;
using MicroVm.Memory;
using Xunit;
using Xunit.Abstractions;

namespace MicroVm.Tests.Boot;

/// <summary>Debian's own kernels, where the lab has fetched them: the cloud kernel (lz4), the generic one of Debian 12 (xz) and newer ones (zstd).</summary>
public sealed class DebianKernelTests(ITestOutputHelper output) : IDisposable
{
    private readonly BootFixture _fixture = new();

    [NeedsDebianKernelsFact]
    public void AreUnpackedOnceAndThenReadFromTheCache()
    {
        foreach (string kernel in NeedsDebianKernelsFactAttribute.Kernels)
        {
            GuestMemory first = _fixture.Guest(256 << 20), second = _fixture.Guest(256 << 20);
            LoadedKernel a = Timed(kernel, first), b = Timed(kernel, second);
            Assert.Equal((BootMode.Pvh32, KernelOrigin.Unpacked), (a.Mode, a.Origin));
            Assert.Equal(a with { Origin = KernelOrigin.Cached, Header = null }, b with { Header = null });
            Assert.Equal(0x1000000ul, a.Start);
            int length = (int)(a.End - a.Start);
            Assert.True(BootFixture.Bytes(first, a.Start, length).AsSpan().SequenceEqual(BootFixture.Bytes(second, a.Start, length)));
            first.Dispose();
            second.Dispose();
        }
    }

    public void Dispose() => _fixture.Dispose();

    private LoadedKernel Timed(string kernel, GuestMemory memory)
    {
        long start = Stopwatch.GetTimestamp();
        LoadedKernel loaded = _fixture.LoadFile(kernel, memory, cache: true);
        output.WriteLine($"{loaded.Origin} in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F2} ms: {kernel}");
        return loaded;
    }
}

/// <summary>A test that needs the kernels of the lab's cache.</summary>
public sealed class NeedsDebianKernelsFactAttribute : FactAttribute
{
    public NeedsDebianKernelsFactAttribute() => Skip = Kernels.Length > 0 ? null : "the lab has fetched no Debian kernels yet";

    internal static string[] Kernels { get; } = Find();

    private static string[] Find()
    {
        string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(cache)) cache = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        string folder = Path.Combine(cache, "microvm-lab", "kernels");
        return Directory.Exists(folder) ? Directory.GetFiles(folder, "vmlinuz*", SearchOption.AllDirectories) : [];
    }
}
