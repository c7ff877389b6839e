using System.Diagnostics;
using System.Text;
using MicroVm.Events;
using Xunit;

namespace MicroVm.Tests.Machines;

/// <summary>The caller's end of a serial port or console.</summary>
public sealed class ConsoleStreamTests : IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    private readonly ConsoleAttachment _attachment = Attach();

    private Stream Stream => _attachment.Stream!;

    public void Dispose() => _attachment.Dispose();

    [Fact]
    public async Task Read_ends_with_its_token()
    {
        using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(50));
        ValueTask<int> read = Stream.ReadAsync(new byte[16], soon.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.AsTask().WaitAsync(Soon));
        // And takes nothing away from the next one.
        _attachment.Output.Write("line\n"u8);
        byte[] got = new byte[16];
        Assert.Equal("line\n", Encoding.ASCII.GetString(got, 0, await Stream.ReadAsync(got).AsTask().WaitAsync(Soon)));
    }

    [Fact]
    public async Task Calls_that_wait_hold_no_thread()
    {
        const int Streams = 40;
        using CancellationTokenSource end = new();
        ConsoleAttachment[] all = [.. Enumerable.Range(0, Streams).Select(static _ => Attach())];
        List<Task> waiting = [];
        foreach (ConsoleAttachment one in all)
        {
            waiting.Add(one.Stream!.ReadAsync(new byte[16], end.Token).AsTask());
            waiting.Add(one.Stream.ReadAsync(new byte[16], 0, 16, end.Token));
            // More than the pipe of a guest that takes nothing.
            waiting.Add(one.Stream.WriteAsync(new byte[1 << 20], end.Token).AsTask());
            waiting.Add(one.Stream.WriteAsync(new byte[16], 0, 16, end.Token));
        }
        await Task.Delay(100);
        Assert.All(waiting, static w => Assert.False(w.IsCompleted));
        ThreadPool.GetMaxThreads(out int most, out _);
        ThreadPool.GetAvailableThreads(out int free, out _);
        Assert.InRange(most - free, 0, Streams / 2);
        end.Cancel();
        foreach (Task wait in waiting)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait.WaitAsync(Soon));
        foreach (ConsoleAttachment one in all) one.Dispose();
    }

    [Fact]
    public async Task The_end_of_the_output_can_be_read_after_the_machine_and_the_oldest_bytes_gave_way()
    {
        StringBuilder text = new();
        for (int i = 0; i < 20_000; i++) text.Append($"line {i:d8} of many, of which the last ones count\n");
        byte[] all = Encoding.ASCII.GetBytes(text.ToString());
        foreach (byte[] part in all.Chunk(1000)) _attachment.Output.Write(part);
        long lost = _attachment.Finish();
        _attachment.Dispose();
        using MemoryStream got = new();
        await Stream.CopyToAsync(got).WaitAsync(Soon);
        Assert.Equal(all.Length - got.Length, lost);
        Assert.InRange(got.Length, 1 << 18, all.Length - 1);
        Assert.Equal(all[^(int)got.Length..], got.ToArray());
    }

    [Fact]
    public async Task Reader_that_waits_sees_the_end()
    {
        Task<int> read = Task.Factory.StartNew(() => Stream.Read(new byte[16]), TaskCreationOptions.LongRunning);
        _ = _attachment.Finish();
        Assert.Equal(0, await read.WaitAsync(Soon));
    }

    [Fact]
    public async Task Writer_waits_for_the_guest_and_loses_nothing()
    {
        Sink guest = new();
        IInputSource source = _attachment.Feed(guest)!;
        byte[] sent = new byte[300_000];
        new Random(5).NextBytes(sent);
        Task write = Stream.WriteAsync(sent).AsTask();
        _attachment.Start();
        Assert.False(write.IsCompleted);
        long start = Stopwatch.GetTimestamp();
        while (!write.IsCompleted && Stopwatch.GetElapsedTime(start) < Soon)
        {
            guest.Allow(10_000);
            source.Resume();
            await Task.Delay(1);
        }
        await write.WaitAsync(Soon);
        guest.Allow(sent.Length);
        source.Resume();
        Assert.True(SpinWait.SpinUntil(() => guest.Length == sent.Length, Soon));
        Assert.Equal(sent, guest.Got);
    }

    [Fact]
    public async Task Writer_hears_that_the_machine_has_ended()
    {
        Task write = Stream.WriteAsync(new byte[1 << 20]).AsTask();
        _ = _attachment.Finish();
        await Assert.ThrowsAsync<IOException>(() => write.WaitAsync(Soon));
        await Assert.ThrowsAsync<IOException>(() => Stream.WriteAsync(new byte[1]).AsTask());
    }

    [Fact]
    public async Task Disposed_stream_is_no_reader_any_more()
    {
        Task<int> read = Stream.ReadAsync(new byte[16]).AsTask();
        Stream.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WaitAsync(Soon));
        _attachment.Output.Write("more\n"u8);
        Assert.Equal(0, _attachment.Finish());
    }

    private static ConsoleAttachment Attach() => ConsoleAttachment.TryAttach(ConsoleEndpoint.Stream, "serial", ThreadOwner.Process)!;

    // A device with room for so much and no more.
    private sealed class Sink : IInputSink
    {
        private readonly MemoryStream _got = new();
        private int _room;

        internal byte[] Got
        {
            get { lock (_got) return _got.ToArray(); }
        }

        internal long Length
        {
            get { lock (_got) return _got.Length; }
        }

        internal void Allow(int count)
        {
            lock (_got) _room += count;
        }

        public int Receive(ReadOnlySpan<byte> bytes)
        {
            lock (_got)
            {
                int count = Math.Min(bytes.Length, _room);
                _got.Write(bytes[..count]);
                _room -= count;
                return count;
            }
        }
    }
}
