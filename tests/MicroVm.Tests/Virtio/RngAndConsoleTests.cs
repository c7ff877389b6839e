using System.IO.Pipes;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Virtio.Console;
using MicroVm.Virtio.Rng;
using Xunit;

namespace MicroVm.Tests.Virtio;

public sealed class RngAndConsoleTests : IDisposable
{
    private readonly EventLoop _loop = new("test", ThreadOwner.Process);

    public void Dispose() => _loop.Dispose();

    [Fact]
    public void Rng_fills_the_buffers()
    {
        using GuestDriver guest = new(new VirtioRngDevice(_loop));
        GuestQueue queue = guest.Start(8).Queues[0];
        queue.DescribeChain(0, null, new(queue.Data, 100, true), new(queue.Data + 200, 100, true));
        Assert.Equal(200u, queue.Transact(0)!.Value.Len);
        Assert.True(queue.Bytes(queue.Data, 100).IndexOfAnyExcept((byte)0) >= 0);
        Assert.True(queue.Bytes(queue.Data + 200, 100).IndexOfAnyExcept((byte)0) >= 0);
        Assert.Equal(-1, queue.Bytes(queue.Data + 100, 100).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void D2_rng_gives_at_most_64_KiB_per_request()
    {
        using GuestDriver guest = new(new VirtioRngDevice(_loop));
        GuestQueue queue = guest.Start(64).Queues[0];
        Buffer[] chain = new Buffer[64];
        Array.Fill(chain, new Buffer(0x200_0000, 0x200_0000, true));
        queue.DescribeChain(0, null, chain);
        Assert.Equal(65536u, queue.Transact(0)!.Value.Len);
        Assert.Equal(-1, queue.Bytes(0x201_0000, 0x100_0000).IndexOfAnyExcept((byte)0));
        queue.DescribeChain(0, null, new Buffer(queue.Data, 16, false));
        Assert.Equal(0u, queue.Transact(0)!.Value.Len);
    }

    [Fact]
    public void Console_output_reaches_its_reader()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new((int)reader.ClientSafePipeHandle.DangerousGetHandle(), "test");
        using GuestDriver guest = new(new VirtioConsoleDevice(_loop, pump));
        GuestQueue transmit = guest.Start(8).Queues[VirtioConsole.TransmitQueue];
        "hello, host\n"u8.CopyTo(transmit.Bytes(transmit.Data, 12));
        transmit.DescribeChain(0, null, new(transmit.Data, 7, false), new(transmit.Data + 7, 5, false));
        Assert.Equal(0u, transmit.Transact(0)!.Value.Len);
        byte[] got = new byte[12];
        reader.ReadExactly(got);
        Assert.Equal("hello, host\n"u8, got);
    }

    [Fact]
    public void Emergency_write_needs_no_driver()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new((int)reader.ClientSafePipeHandle.DangerousGetHandle(), "test");
        using GuestDriver guest = new(new VirtioConsoleDevice(_loop, pump));
        _ = guest.WriteAt(GuestDriver.Offset("Config") + 8, 4, '!');
        Assert.Equal('!', reader.ReadByte());
    }

    [Fact]
    public void D3_console_reader_that_stalls_costs_output_only()
    {
        using AnonymousPipeServerStream reader = new(PipeDirection.In);
        using OutputPump pump = new((int)reader.ClientSafePipeHandle.DangerousGetHandle(), "test");
        using GuestDriver guest = new(new VirtioConsoleDevice(_loop, pump));
        GuestQueue transmit = guest.Start(64).Queues[VirtioConsole.TransmitQueue];
        transmit.DescribeChain(0, null, new Buffer(0x200_0000, 1 << 20, false));
        for (int i = 0; i < 1024; i++) Assert.NotNull(transmit.Transact(0));   // 1 GiB
        Assert.InRange(pump.Dropped, (1L << 30) - (1 << 20), 1L << 30);
    }

    [Fact]
    public void Input_waits_for_buffers_and_buffers_wait_for_input()
    {
        VirtioConsoleDevice console = new(_loop, null);
        using GuestDriver guest = new(console);
        // Before any driver: a bounded number of bytes is taken.
        byte[] input = new byte[10_000];
        new Random(4).NextBytes(input);
        int taken = console.InputSink.Receive(input);
        Assert.Equal(4096, taken);
        Assert.Equal(0, console.InputSink.Receive(input));
        GuestQueue receive = guest.Start(8).Queues[VirtioConsole.ReceiveQueue];
        List<byte> got = [];
        for (int guard = 0; got.Count < input.Length && guard < 1000; guard++)
        {
            receive.DescribeChain(0, null, new Buffer(receive.Data, 300, true));
            VirtqUsedElem used = receive.Transact(0)!.Value;
            got.AddRange(receive.Bytes(receive.Data, (int)used.Len));
            taken += console.InputSink.Receive(input.AsSpan(taken));
        }
        Assert.Equal(input, got);
        // Now a buffer waits.
        receive.Submit(0);
        receive.Kick();
        LoopFence.Pass(_loop);
        Assert.False(receive.HasUsed);
        Assert.Equal(2, console.InputSink.Receive("ab"u8));
        Assert.Equal(2u, receive.Wait()!.Value.Len);
    }

    [Fact]
    public void Input_survives_a_reset_of_the_driver()
    {
        VirtioConsoleDevice console = new(_loop, null);
        using GuestDriver guest = new(console);
        _ = guest.Start(8);
        guest.Reset();
        Assert.Equal(3, console.InputSink.Receive("xyz"u8));
        GuestQueue receive = guest.Start(8).Queues[VirtioConsole.ReceiveQueue];
        receive.DescribeChain(0, null, new Buffer(receive.Data, 300, true));
        Assert.Equal(3u, receive.Transact(0)!.Value.Len);
    }
}
