using System.Buffers.Binary;
using MicroVm.Devices;
using Xunit;

namespace MicroVm.Tests.Virtio.VhostUser;

/// <summary>Backends that die and come back.</summary>
public sealed class RestartTests
{
    [Fact]
    public void Requests_under_way_are_served_by_the_next_backend()
    {
        using TestBackend backend = new() { Finishes = static head => head < 2 };
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        guest.Offer(5);
        guest.Offer(6);
        Assert.True(GuestDriver.Eventually(() => backend.Taken.Count == 3));
        backend.Finishes = static _ => true;
        backend.Drop();
        Assert.Equal(5u, guest.Queue.Wait()!.Value.Id);
        Assert.Equal(6u, guest.Queue.Wait()!.Value.Id);
        Assert.True(guest.Transact(7));
        Assert.True(guest.Says("closed the connection") && guest.Says("is back"));
    }

    [Fact]
    public void Driver_that_comes_while_no_backend_is_there_waits()
    {
        TestBackend first = new();
        using VhostUserGuest guest = new(first, start: false);
        first.Dispose();
        guest.Driver.Start(16);
        guest.Offer(1);
        Assert.True(guest.Says("is not there"));
        Assert.False(guest.Queue.HasUsed);
        using TestBackend second = new(first.Path);
        Assert.Equal(1u, guest.Queue.Wait()!.Value.Id);
    }

    [Fact]
    public void Reset_while_no_backend_is_there_returns_at_once()
    {
        TestBackend backend = new();
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        backend.Dispose();
        Assert.True(guest.Says("is not there"));
        for (int i = 0; i < 3; i++)
        {
            guest.Driver.Reset();
            Assert.Equal(0u, guest.Driver.Status);
            guest.Driver.Start(16);
            Thread.Sleep(100);
        }
    }

    [Fact]
    public void Next_backend_gets_the_record_of_the_one_before()
    {
        using TestBackend backend = new() { Protocol = (VhostUserProtocol)ulong.MaxValue };
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        backend.Drop();
        Assert.True(guest.Transact(1));
        ulong given = Assert.Single(backend.Given);
        Assert.Equal([given, given], backend.Received);
        guest.Driver.Reset();
        guest.Driver.Start(16);
        Assert.True(guest.Transact(0));
        Assert.Equal(2, backend.Given.Count);
    }

    [Fact]
    public void Next_backend_with_less_is_not_taken_and_the_right_one_after_it_is()
    {
        TestBackend first = new();
        using VhostUserGuest guest = new(first);
        Assert.True(guest.Transact(0));
        first.Dispose();
        TestBackend lesser = new(first.Path, (ulong)VirtioFeatures.Version1 | (ulong)VhostUserFeatures.Protocol);
        Assert.True(guest.Says("lacks what the guest was offered: features 0x30000000"));
        lesser.Dispose();
        using TestBackend third = new(first.Path);
        Assert.True(guest.Transact(1));
    }

    [Fact]
    public void Next_backends_configuration_is_seen()
    {
        using TestBackend backend = new();
        using VhostUserGuest guest = new(backend, disk: true);
        Assert.True(guest.Transact(0));
        BinaryPrimitives.WriteUInt64LittleEndian(backend.Config, 4096);
        backend.Drop();
        Assert.True(GuestDriver.Eventually(() => VhostUserTests.Capacity(guest) == 4096));
    }
}

/// <summary>What waiting for a backend costs. Counts the whole process's time, so no other test runs beside it.</summary>
[CollectionDefinition(nameof(AbsenceTests), DisableParallelization = true)]
[Collection(nameof(AbsenceTests))]
public sealed class AbsenceTests
{
    [Fact]
    public void Backend_that_is_away_is_looked_for_seldom()
    {
        TestBackend backend = new();
        using VhostUserGuest guest = new(backend);
        Assert.True(guest.Transact(0));
        backend.Dispose();
        Assert.True(guest.Says("closed the connection"));
        TimeSpan before = System.Diagnostics.Process.GetCurrentProcess().TotalProcessorTime;
        Thread.Sleep(1500);
        Assert.True(System.Diagnostics.Process.GetCurrentProcess().TotalProcessorTime - before < TimeSpan.FromMilliseconds(1000));
        Assert.InRange(guest.Log.Split('\n').Length, 2, 4);
    }
}
