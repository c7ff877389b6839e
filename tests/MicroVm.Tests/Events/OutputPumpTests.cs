using System.Diagnostics;
using System.IO.Pipes;
using MicroVm.Events;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Events;

public class OutputPumpTests
{
    [Fact]
    public void Bytes_arrive_in_order_and_flush_waits_for_them()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new(Fd(reader.ClientSafePipeHandle), "test");
        byte[] sent = new byte[50_000];
        new Random(1).NextBytes(sent);
        for (int i = 0; i < sent.Length; i += 50) pump.Write(sent.AsSpan(i, 50));
        byte[] got = new byte[sent.Length];
        reader.ReadExactly(got);
        Assert.True(pump.TryFlush(TimeSpan.FromSeconds(5)));
        Assert.Equal(sent, got);
        Assert.Equal(0, pump.Dropped);
    }

    [Fact]
    public void Unfinished_line_arrives_too()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new(Fd(reader.ClientSafePipeHandle), "test");
        pump.Write((byte)'>');
        Assert.Equal('>', reader.ReadByte());
    }

    [Fact]
    public void D3_stalled_reader_costs_the_writer_no_time_and_drops_are_counted()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new(Fd(reader.ClientSafePipeHandle), "test", 1 << 16);
        byte[] block = new byte[4096];
        long start = Stopwatch.GetTimestamp(), worst = 0;
        const int Blocks = 1 << 18;   // 1 GiB
        for (int i = 0; i < Blocks; i++)
        {
            long t = Stopwatch.GetTimestamp();
            pump.Write(block);
            worst = Math.Max(worst, Stopwatch.GetTimestamp() - t);
        }
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(20));
        Assert.InRange(pump.Dropped, Blocks * 4096L - (1 << 16) - (1 << 17), Blocks * 4096L);
        Assert.False(pump.TryFlush(TimeSpan.FromMilliseconds(20)));
    }

    [Fact]
    public void Oldest_bytes_give_way()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new(Fd(reader.ClientSafePipeHandle), "test", 1 << 12);
        byte[] block = new byte[1 << 12];
        for (int i = 0; i < 200; i++) pump.Write(block);
        pump.Write("end\n"u8);
        byte[] buffer = new byte[1 << 20];
        string tail = "";
        while (!tail.EndsWith("end\n", StringComparison.Ordinal))
        {
            int n = reader.Read(buffer);
            tail = System.Text.Encoding.ASCII.GetString(buffer, Math.Max(0, n - 4), Math.Min(n, 4));
        }
        Assert.True(pump.Dropped > 0);
    }

    [Fact]
    public void Closed_pipe_turns_the_pump_into_a_counter()
    {
        AnonymousPipeServerStream reader = new(PipeDirection.In);
        int fd = Fd(reader.ClientSafePipeHandle);
        using OutputPump pump = new(fd, "test");
        // Closing the server stream would close the client end as well; only the read side must go.
        reader.SafePipeHandle.Dispose();
        pump.Write("lost\n"u8);
        Assert.False(pump.TryFlush(TimeSpan.FromSeconds(5)));
        Assert.True(pump.ReaderGone);
        pump.Write("lost\n"u8);
        Assert.Equal(10, pump.Dropped);
    }

    [Fact]
    public void No_descriptor_drops_everything()
    {
        using OutputPump pump = new(-1, "test");
        pump.Write("abc"u8);
        Assert.Equal(3, pump.Dropped);
    }

    [Fact]
    public void Stopping_does_not_wait_for_a_stalled_reader()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        int fd = Fd(reader.ClientSafePipeHandle);
        OutputPump pump = new(fd, "test");
        pump.Write(new byte[200_000]);
        Assert.True(SpinWait.SpinUntil(() => !HostIo.Wait(fd, Libc.EPOLLOUT, 0), 5000), "the pipe is not full");
        long start = Stopwatch.GetTimestamp();
        pump.Dispose();
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(150));
    }

    [Fact]
    public void Writing_allocates_nothing()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new(Fd(reader.ClientSafePipeHandle), "test");
        pump.Write((byte)'\n');
        Assert.Equal(0, Allocations.Least(() =>
        {
            for (int i = 0; i < 100_000; i++) pump.Write((byte)i);
        }));
    }

    private static int Fd(System.Runtime.InteropServices.SafeHandle handle) => (int)handle.DangerousGetHandle();
}
