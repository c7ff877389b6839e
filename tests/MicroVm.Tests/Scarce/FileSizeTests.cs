using System.Diagnostics;
using System.IO.Pipes;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio.Block;
using Xunit;

namespace MicroVm.Tests.Scarce;

/// <summary>A limit on the size of files (RLIMIT_FSIZE) and readers that have gone: Linux raises SIGXFSZ and SIGPIPE
/// beside the error of the call, and a process dies of either by default.</summary>
public sealed class FileSizeTests
{
    private const int Limit = 3000;
    private const int FileSizeExceeded = 25, WithInfo = 4;
    private const ulong Bit = 1UL << FileSizeExceeded - 1;

    [Fact]
    public void Output_beyond_the_limit_is_dropped_and_counted() => Child.Run(Output);

    [Theory]
    [InlineData(nameof(DiskEngine.Auto))]
    [InlineData(nameof(DiskEngine.Threads))]
    public void A_disk_beyond_the_limit_fails_that_request_alone(string engine) => Child.Run(Disk, engine);

    [Fact]
    public void What_needs_a_larger_file_says_which_limit() => Child.Run(Larger);

    [Fact]
    public void A_program_that_handles_the_signal_itself_goes_on_to() => Child.Run(Keep);

    [Fact]
    public void A_program_that_is_started_from_here_has_the_default() => Child.Run(Inherit);

    // As a program that uses the library gets there: the first thing of a machine, whatever becomes of it.
    private static void Survive() =>
        Assert.Throws<MicroVmException>(() => Machine.Create(new MachineOptions { Kernel = "/nothing" }));

    private static void Output(string none)
    {
        Survive();
        string path = Path.Combine(Child.Folder, "serial.log");
        using (Scarcity.OfFileSize(Limit))
        {
            using HostFile file = HostFile.TryOpen(path, Libc.O_WRONLY | Libc.O_CREAT, out _, 0x180)!;
            using OutputPump pump = new(file.Descriptor, "test");
            byte[] line = new byte[100];
            line[^1] = (byte)'\n';
            for (int i = 0; i < 100; i++) pump.Write(line);
            Assert.True(pump.TryFlush(TimeSpan.FromSeconds(10)));
            Assert.Equal((10_000L - Limit, false), (pump.Dropped, pump.ReaderGone));
        }
        Assert.Equal(Limit, new FileInfo(path).Length);
        // And a reader that has gone.
        AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump gone = new((int)reader.ClientSafePipeHandle.DangerousGetHandle(), "test");
        reader.SafePipeHandle.Dispose();
        gone.Write("lost\n"u8);
        Assert.False(gone.TryFlush(TimeSpan.FromSeconds(10)));
        Assert.Equal((5L, true), (gone.Dropped, gone.ReaderGone));
    }

    private static void Disk(string engine)
    {
        Survive();
        string path = Path.Combine(Child.Folder, "disk.img");
        File.WriteAllBytes(path, new byte[1 << 20]);
        DiskOptions options = new("") { Engine = Enum.Parse<DiskEngine>(engine) };
        using BlockGuest guest = new(path: path, options: options);
        using (Scarcity.OfFileSize(1 << 19))
        {
            Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.Out, 1023, 512));
            Assert.Equal(VirtioBlockStatus.IoErr, guest.Request(VirtioBlockType.Out, 1024, 512));
            Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.In, 1024, 512));
            Assert.Equal(1, guest.Device.HostErrors);
            MicroVmException refused = Assert.Throws<MicroVmException>(() => guest.Device.Resize(2 << 20));
            Assert.Equal(FailureKind.Image, refused.Kind);
            Assert.Contains("ulimit -f", refused.Remedy, StringComparison.Ordinal);
        }
        Assert.Equal(VirtioBlockStatus.Ok, guest.Request(VirtioBlockType.Out, 1024, 512));
    }

    private static void Larger(string none)
    {
        Survive();
        using Scarcity scarcity = Scarcity.OfFileSize(Limit);
        foreach (Func<IDisposable> make in (Func<IDisposable>[])
            [() => GuestMemory.Allocate(16 << 20, 1UL << 31, 1UL << 32, shared: true), () => new EcamArea(1)])
        {
            MicroVmException refused = Assert.Throws<MicroVmException>(make);
            Assert.Contains("File too large", refused.Where, StringComparison.Ordinal);
            Assert.Contains("ulimit -f", refused.Remedy, StringComparison.Ordinal);
        }
    }

    private static unsafe void Keep(string none)
    {
        Libc.SigAction mine = new() { Handler = QuietHandler.Code, Flags = WithInfo }, found;
        Assert.Equal(0, Libc.sigaction(FileSizeExceeded, &mine, null));
        Survive();
        Assert.Equal(0, Libc.sigaction(FileSizeExceeded, null, &found));
        Assert.Equal(WithInfo, found.Flags & WithInfo);
    }

    private static void Inherit(string none)
    {
        Survive();
        Assert.NotEqual(0UL, Signals("/proc/self/status", "SigCgt") & Bit);
        ProcessStartInfo start = new("cat", "/proc/self/status") { RedirectStandardOutput = true };
        using Process child = Process.Start(start)!;
        string path = Path.Combine(Child.Folder, "status");
        File.WriteAllText(path, child.StandardOutput.ReadToEnd());
        Assert.Equal(0UL, (Signals(path, "SigIgn") | Signals(path, "SigCgt")) & Bit);
    }

    private static ulong Signals(string path, string name) =>
        Convert.ToUInt64(File.ReadAllLines(path).Single(l => l.StartsWith(name, StringComparison.Ordinal))[^16..], 16);
}
